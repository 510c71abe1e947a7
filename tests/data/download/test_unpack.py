import io
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from captioner.data.download.unpack import unpack
from captioner.storage import DataError

FILES = {"pictures/a.jpg": b"a" * 5000, "pictures/b.jpg": b"", "words.txt": b"words"}


def make_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in more:
            archive.addfile(member)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["zip", "stored zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_an_archive_is_unpacked_whole(tmp_path: Path, kind: str) -> None:
    junk = {"__MACOSX/._a.jpg": b"x", "pictures/.DS_Store": b"x"}
    if kind.endswith("zip"):
        method = zipfile.ZIP_STORED if kind.startswith("stored") else zipfile.ZIP_DEFLATED
        path = make_zip(tmp_path / "set.zip", {**FILES, **junk, "empty/": b""}, method)
    else:
        mode = "w:" + kind.partition(".")[2]
        path = make_tar(tmp_path / "set", {f"./{name}": data for name, data in {**FILES, **junk}.items()}, mode=mode)
    files = unpack(path, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert sorted(files) == sorted(tmp_path / "out" / name for name in FILES)


def test_files_that_are_there_are_written_over_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "out" / "pictures").mkdir(parents=True)
    (tmp_path / "out" / "pictures" / "a.jpg").write_text("old")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "out" / ".set.zip.unpacking").mkdir()
    (tmp_path / "out" / ".set.zip.unpacking" / "half").write_text("left by a killed one")
    unpack(make_zip(tmp_path / "set.zip", FILES), tmp_path / "out")
    assert contents(tmp_path / "out") == {**FILES, "mine.txt": b"mine"}


LEADING_OUT = [
    "../out.txt",
    "a/../../out.txt",
    "/tmp/out.txt",
    "C:/out.txt",
    "C:\\out.txt",
    "a\\..\\..\\out.txt",
    "..",
    "",
]


@pytest.mark.parametrize("name", LEADING_OUT)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_path_that_leads_out_of_the_folder(tmp_path: Path, make, name: str) -> None:
    path = make(tmp_path / "set", {**FILES, "placeholder.txt": b"out"})
    if make is make_zip:
        with zipfile.ZipFile(tmp_path / "set", "w") as archive:
            archive.writestr("a.txt", b"fine")
            entry = zipfile.ZipInfo("x")
            entry.filename = name  # ZipInfo itself would tidy it
            archive.writestr(entry, b"out")
    else:
        make_tar(path, {"a.txt": b"fine", name: b"out"})
    before = contents(tmp_path)
    with pytest.raises(
        DataError, match=r"leads out of the folder; the archive may be hostile|broken, or not a zip or tar"
    ):
        unpack(path, tmp_path / "deep" / "folder")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "member",
    [
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("pictures", tarfile.SYMTYPE, "/tmp"),
        special("link", tarfile.LNKTYPE, "pictures/a.jpg"),
        special("device", tarfile.CHRTYPE),
        special("device", tarfile.BLKTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_in_a_tar(tmp_path: Path, member: tarfile.TarInfo) -> None:
    path = make_tar(tmp_path / "set.tar", FILES, member)
    with pytest.raises(DataError, match=rf"set\.tar: '{member.name}' is a link or a device"):
        unpack(path, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_links_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
        archive.writestr("link/inside.txt", "x")
    with pytest.raises(DataError, match=r"'link' is a link or a device"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_a_link_that_waits_in_the_folder_leads_nothing_out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "pictures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="is a link that leads out of"):
        unpack(make_zip(tmp_path / "set.zip", FILES), tmp_path / "out")
    assert contents(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_name_that_stands_twice(tmp_path: Path, make) -> None:
    path = make(tmp_path / "set", {"a.txt": b"one", "A.TXT": b"two"})
    with pytest.raises(DataError, match=r"'A\.TXT' occurs twice"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_too_much_is_refused_by_what_is_claimed(tmp_path: Path, make) -> None:
    path = make(tmp_path / "set", {"zeros": bytes(10**6), "more": bytes(10**6)})
    with pytest.raises(DataError, match=r"unpacks to 2 MB, more than 1\.5 MB; it may be hostile"):
        unpack(path, tmp_path / "out", max_bytes=1_500_000)
    with pytest.raises(DataError, match="contains 2 files, more than 1"):
        unpack(path, tmp_path / "out", max_files=1)
    assert contents(tmp_path / "out") == {}


def test_a_zip_that_holds_more_than_it_claims(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "set.zip", {"bomb": bytes(3 * 10**6)})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 3 * 10**6), struct.pack("<I", 1000)))
    with pytest.raises(DataError, match=r"larger than it claims|broken"):
        unpack(path, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_what_breaks_off_or_is_damaged(tmp_path: Path) -> None:
    whole = make_zip(tmp_path / "set.zip", {"a": os.urandom(5000)}).read_bytes()
    damaged = bytearray(whole)
    damaged[2000] ^= 0xFF
    tarred = make_tar(tmp_path / "set.tar", {"a": bytes(5000), "b": bytes(5000)}).read_bytes()
    zipped = make_tar(tmp_path / "set.tgz", {"a": os.urandom(50000)}, mode="w:gz").read_bytes()
    for data in (whole[:3000], damaged, tarred[:7000], tarred[:3000], zipped[:20000], b"", b"<html>not found</html>"):
        (tmp_path / "set").write_bytes(data)
        with pytest.raises(DataError, match=r"set: broken, or not a zip or tar \(.*\); download it again"):
            unpack(tmp_path / "set", tmp_path / "out")
        assert contents(tmp_path / "out") == {}


def test_an_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "set.zip", {"a": b"secret"}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(DataError, match="'a' is encrypted; unpack it by hand"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"out: set cannot be unpacked there"):
        unpack(make_tar(tmp_path / "set", {"a": b"file", "a/b": b"inside"}), tmp_path / "out")
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match="taken: set cannot be unpacked there"):
        unpack(tmp_path / "set", tmp_path / "taken")


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(DataError, match=r"unpacking set\.zip needs 5[\d.]* kB, but only 1 kB are free"):
        unpack(make_zip(tmp_path / "set.zip", FILES), tmp_path / "out")
