import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.storage import (
    DataError,
    atomic_path,
    digest_file,
    digest_json,
    manifest_path,
    read_json,
    read_manifest,
    read_text,
    write_bytes,
    write_json,
    write_manifest,
    write_text,
)

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def old(tmp_path):
    """A file that a failing write must leave as it is."""
    path = tmp_path / "out.txt"
    path.write_text("old")
    return path


def only_file(path):
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_file_and_its_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "out.txt"
    write_text(path, "Müller\n")
    assert path.read_bytes() == b"M\xc3\xbcller\n"
    assert only_file(path)


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "m.keras") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".keras" and temporary.name.startswith(".")
        temporary.write_bytes(b"x")


def test_the_old_file_stands_until_the_block_ends(old):
    with atomic_path(old) as temporary:
        temporary.write_text("new")
        assert old.read_text() == "old"
    assert old.read_text() == "new"


def test_any_exception_keeps_the_old_file(old):
    with pytest.raises(RuntimeError, match="halfway"), atomic_path(old) as temporary:
        temporary.write_text("half")
        raise RuntimeError("halfway")
    assert old.read_text() == "old" and only_file(old)


def test_a_full_disk_keeps_the_old_file(old):
    with pytest.raises(DataError, match=r"out\.txt: cannot be written \(No space left.*the existing file is unchanged"):  # noqa: SIM117
        with atomic_path(old) as temporary:
            temporary.write_text("half")
            raise FULL
    assert old.read_text() == "old" and only_file(old)


def test_a_rename_that_fails_keeps_the_old_file(old, monkeypatch):
    def replace(self, target):
        raise FULL

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(DataError, match="No space left"):
        write_text(old, "new")
    assert old.read_text() == "old" and only_file(old)


def test_a_real_limit_on_file_sizes_keeps_the_old_file(old):
    pytest.importorskip("resource")
    code = (
        "import resource, signal, sys; from captioner.storage import DataError, write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_bytes(sys.argv[1], bytes(100_000))\n"
        "except DataError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code, old], capture_output=True, text=True, check=True)
    assert found.stdout == f"{old}: cannot be written (File too large); the existing file is unchanged\n"
    assert old.read_text() == "old" and only_file(old)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(old):
    old.parent.chmod(0o500)
    try:
        with pytest.raises(DataError, match=r"cannot be written \(Permission denied\)"):
            write_text(old, "new")
    finally:
        old.parent.chmod(0o700)
    assert old.read_text() == "old"


def test_a_folder_that_is_a_file(old):
    with pytest.raises(DataError, match=r"x\.txt: cannot be written \(.*out\.txt is not a folder\)"):
        write_text(old / "x.txt", "new")
    with pytest.raises(DataError, match="cannot be written"):
        write_text(old / "deeper" / "x.txt", "new")
    assert old.read_text() == "old"


def test_a_target_that_is_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"folder: cannot be written \(Is a directory\)"):
        write_text(tmp_path / "folder", "new")


def test_a_kill_in_the_middle_of_a_write_keeps_the_old_file(old):
    code = (
        "import os, signal, sys; from captioner.storage import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, old], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert old.read_text() == "old" and not only_file(old)
    write_text(old, "new")  # and the next write sweeps up
    assert old.read_text() == "new" and only_file(old)


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    living, other = tmp_path / f".a[1].txt.{os.getppid()}.tmp.txt", tmp_path / f".b.txt.{dead_pid()}.tmp.txt"
    impossible = tmp_path / f".a[1].txt.{10**30}.tmp.txt"
    dead = tmp_path / f".a[1].txt.{dead_pid()}.tmp.txt"
    for path in (living, other, dead, impossible):
        path.touch()
    write_text(tmp_path / "a[1].txt", "new")
    assert living.exists() and other.exists() and not dead.exists() and not impossible.exists()


def test_a_folder_is_looked_through_once_however_many_files_are_written(tmp_path, monkeypatch):
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    dead = tmp_path / f".a9.txt.{dead_pid()}.tmp.txt"
    dead.touch()
    for number in range(10):
        write_text(tmp_path / f"a{number}.txt", "new")
    assert looked == [str(tmp_path)] and not dead.exists()


@pytest.mark.parametrize("name", ["x" * 240 + ".txt", "1. " + "x" * 240, "é" * 120 + ".txt", "x." + "y" * 250])
def test_every_legal_name_can_be_written(tmp_path, name):
    code = (
        "import os, signal, sys; from captioner.storage import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / name], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    write_text(tmp_path / name, "new")
    assert only_file(tmp_path / name) and (tmp_path / name).read_text() == "new"


def test_text_that_is_not_utf_8_names_the_line(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_bytes(b"a dog\na caf\xe9\n")
    with pytest.raises(DataError, match=r"captions\.txt: line 2 is not UTF-8; save the file as UTF-8"):
        read_text(path)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa dog")
    assert read_text(tmp_path / "a.txt") == "a dog"


def test_files_that_cannot_be_read(tmp_path):
    for read in (read_text, read_json):
        with pytest.raises(DataError, match=r"none: no such file; check the path"):
            read(tmp_path / "none")
        with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
            read(tmp_path)
    with pytest.raises(DataError, match="none: no such file"):
        digest_file(tmp_path / "none")


@pytest.mark.parametrize(
    "text, fault",
    [
        ('{\n"a": }', "line 2 is not JSON"),
        ("", "line 1 is not JSON"),
        ("[" * 10**5, "cannot be read as JSON"),
        ("9" * 9999, ""),
    ],
)
def test_what_is_not_json(tmp_path, text, fault):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=rf"a\.json: {fault}"):
        read_json(tmp_path / "a.json")


def test_json_goes_round(tmp_path):
    write_json(tmp_path / "a.json", {"b": ["ä", 1.5, None], "a": {}})
    assert read_json(tmp_path / "a.json") == {"b": ["ä", 1.5, None], "a": {}}
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1}) != digest_json({"a": 2, "b": 1})


def test_a_manifest_lies_beside_a_file_and_inside_a_folder(tmp_path):
    assert manifest_path(tmp_path) == tmp_path / "manifest.json"
    assert manifest_path(tmp_path / "f.pkl") == tmp_path / "f.pkl.manifest.json"


def test_a_manifest_goes_round(tmp_path):
    assert read_manifest(tmp_path) is None
    write_manifest(tmp_path, "train", seconds=1.5)
    assert read_manifest(tmp_path) == {"manifest": 1, "stage": "train", "seconds": 1.5}


@pytest.mark.parametrize("content", ["[]", "{}", '{"stage": "train"}', '{"manifest": "1", "stage": "train"}'])
def test_what_is_no_manifest_of_ours(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(
        DataError, match=r"manifest\.json: is not a manifest of captioner; remove it, or create .* again"
    ):
        read_manifest(tmp_path)


def test_a_manifest_from_the_future(tmp_path):
    (tmp_path / "manifest.json").write_text('{"manifest": 2, "stage": "train"}')
    with pytest.raises(DataError, match=r"written by a newer captioner \(manifest 2\); update captioner"):
        read_manifest(tmp_path)


def test_bytes_are_digested_as_they_are(tmp_path):
    write_bytes(tmp_path / "a", b"abc")
    assert digest_file(tmp_path / "a").startswith("ba7816bf")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_line_of_megabytes_is_refused_before_it_is_read(tmp_path, ends):
    path = tmp_path / "a.txt"
    path.write_text(f"short{ends}" + "word " * 2**19, newline="")
    with pytest.raises(DataError, match=r"a\.txt: line \d has a text of more than 1,048,576 bytes"):
        read_text(path)
    path.write_text(f"{'word ' * 1000}{ends}" * 500, newline="")
    assert read_text(path).count("\n") == 500


def test_json_in_one_line_is_read_but_not_with_a_text_of_megabytes(tmp_path):
    path = tmp_path / "a.json"
    rows = [{"name": "word " * 10}] * 50_000
    path.write_text(json.dumps(rows))
    assert read_json(path) == rows
    for text in ("a" * 2**22, 'a"' * 2**21, "a\\" * 2**21):
        path.write_text(json.dumps([text]))
        with pytest.raises(DataError, match="has a text of more than"):
            read_json(path)


def test_a_link_is_followed(tmp_path):
    (tmp_path / "away").mkdir()
    target, link = tmp_path / "away" / "old.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    for content in ("new", "newer"):  # the first time there is nothing at its end
        write_text(link, content)
        assert target.read_text() == content and link.is_symlink()
    assert [path.name for path in (tmp_path / "away").iterdir()] == ["old.txt"]


def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: is a device or a pipe and cannot be replaced"):
        write_text(tmp_path / "pipe", "new")
    assert (tmp_path / "pipe").is_fifo()


def test_a_key_that_is_there_twice(tmp_path):
    path = tmp_path / "captions.json"
    path.write_text('{"a.jpg": "a dog", "b.jpg": "", "a.jpg": "a cat"}')
    assert read_json(path) == {"a.jpg": "a cat", "b.jpg": ""}
    with pytest.raises(DataError, match=r"the key 'a\.jpg' is there twice; join its values"):
        read_json(path, different_keys=True)
