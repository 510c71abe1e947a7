import hashlib
import random
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from captioner.data.download import fetch as fetch_module
from captioner.data.download.fetch import TRIES, RemoteFile, fetch, require_known
from captioner.storage import DataError
from tests.data.server import Server, serve
from tests.messages import listening

DATA = random.Random(0).randbytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def web():
    with serve({"set.zip": DATA}) as (server, address):
        yield server, address


def get(web: tuple[Server, str], folder: Path, **known: object) -> list[str]:
    lines: list[str] = []
    with listening(lines.append):
        fetch(RemoteFile(f"{web[1]}/set.zip", **known), folder / "set.zip", waits=(0.0,))
    return lines


def whole(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == ["set.zip"] and (folder / "set.zip").read_bytes() == DATA


@pytest.mark.parametrize("known", [{}, {"size": len(DATA)}, {"size": len(DATA), "digest": SHA256}])
def test_a_file_comes_whole_and_leaves_nothing_else(web, tmp_path, known):
    assert get(web, tmp_path, **known) == []
    assert whole(tmp_path) and web[0].asked == [("/set.zip", None)]


def test_what_breaks_off_is_gone_on_with(web, tmp_path):
    web[0].break_after = [100_000, 50_000]
    said = get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path)
    assert [asked for _, asked in web[0].asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert said[0] == "set.zip: broke off after 100 kB of 300 kB; trying again in 0 s"


def test_a_later_call_goes_on_where_an_earlier_one_was_killed(web, tmp_path, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    web[0].break_after = [200_000]
    monkeypatch.setattr(fetch_module.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(web, tmp_path)
    assert (tmp_path / "set.zip.part").stat().st_size == 200_000 and not (tmp_path / "set.zip").exists()
    get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path) and web[0].asked[-1] == ("/set.zip", "bytes=200000-")


def test_a_server_without_ranges_sends_all_again(web, tmp_path):
    web[0].ranges, web[0].break_after = False, [100_000]
    get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path) and web[0].counts == {200: 2}


def test_a_file_that_changed_in_between_is_begun_anew(web, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(b"old" * 1000)
    (tmp_path / "set.zip.part.json").write_text('{"validator": "\\"0\\""}')
    get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path) and web[0].counts == {200: 1}


def test_a_part_of_nobody_knows_which_version_is_caught_by_its_digest(web, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match=r"set\.zip: is not the expected file \(its sha256 is .*it was removed"):
        get(web, tmp_path, digest=SHA256)
    assert list(tmp_path.iterdir()) == []
    get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path)


@pytest.mark.parametrize("known", [{"size": len(DATA)}, {}])
def test_a_part_that_is_whole_already_costs_nothing(web, tmp_path, known):
    (tmp_path / "set.zip.part").write_bytes(DATA)
    get(web, tmp_path, digest=SHA256, **known)
    assert whole(tmp_path) and web[0].counts == ({} if known else {416: 1})


def test_a_part_that_is_too_long_is_thrown_away(web, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(DATA + b"more")
    get(web, tmp_path, digest=SHA256, size=len(DATA))
    assert whole(tmp_path)
    (tmp_path / "set.zip").rename(tmp_path / "set.zip.part")
    with (tmp_path / "set.zip.part").open("ab") as file:
        file.write(b"more")
    said = get(web, tmp_path, digest=SHA256)  # nobody told the size
    assert whole(tmp_path) and "does not send the rest of the file" in said[0]


def test_a_range_that_begins_elsewhere_is_not_believed(web, tmp_path):
    web[0].shift, web[0].break_after = 10, [100_000]
    get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path)


def test_a_length_that_never_comes_ends_in_one_line(web, tmp_path):
    web[0].claims, web[0].total = 5000, 5000
    with pytest.raises(DataError, match=r"set\.zip: .*run the same command again to continue, or name a --mirror"):
        get(web, tmp_path)
    assert len(web[0].asked) <= TRIES + 1 and not (tmp_path / "set.zip").exists()


@pytest.mark.parametrize("claims", [-1000, 1000])
def test_a_length_that_is_not_the_known_one_is_refused_at_once(web, tmp_path, claims):
    web[0].claims = claims
    with pytest.raises(DataError, match=r"set\.zip: has (299,000|301,000) bytes, expected 300,000; name a --mirror"):
        get(web, tmp_path, size=len(DATA))
    assert list(tmp_path.iterdir()) == [] and len(web[0].asked) == 1


def test_a_length_that_is_told_too_short_is_caught_by_the_digest(web, tmp_path):
    web[0].claims = -1000
    with pytest.raises(DataError, match="not the expected file"):
        get(web, tmp_path, digest=SHA256)


def test_more_than_is_known_is_not_written(web, tmp_path, monkeypatch):
    web[0].chunked = True
    with pytest.raises(DataError, match="sends more than 200 kB"):
        get(web, tmp_path, size=200_000)
    assert (tmp_path / "set.zip.part").stat().st_size == 200_000
    (tmp_path / "set.zip.part").unlink()
    monkeypatch.setattr(fetch_module, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="sends more than 1 kB"):
        get(web, tmp_path)


def test_a_file_of_unknown_length_comes_too(web, tmp_path):
    web[0].chunked = True
    get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path)


def test_busy_servers_are_asked_again_and_others_not(web, tmp_path):
    web[0].errors = [503, 500, 429]
    said = get(web, tmp_path, digest=SHA256)
    assert whole(tmp_path) and len(said) == 3 and "answers 503" in said[0]
    with pytest.raises(DataError, match=r"other\.zip: answers 404 Not Found; name a --mirror"):
        fetch(RemoteFile(f"{web[1]}/other.zip"), tmp_path / "other.zip", waits=(0.0,))
    web[0].errors = [500] * TRIES
    with pytest.raises(DataError, match="answers 500"):
        fetch(RemoteFile(f"{web[1]}/set.zip"), tmp_path / "third.zip", waits=(0.0,))


def test_redirections_lead_to_http_only(web, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    web[0].redirect = secret.as_uri()
    with pytest.raises(DataError, match=r"set\.zip: answers 302"):
        get(web, tmp_path / "out")
    for url in (secret.as_uri(), "ftp://127.0.0.1/x", "nonsense", "http://"):
        with pytest.raises(DataError):
            fetch(RemoteFile(url), tmp_path / "out" / "x", waits=(0.0,))
    assert not (tmp_path / "out" / "x").exists()
    with serve({}) as (other, address):
        other.redirect = f"{web[1]}/set.zip"
        web[0].redirect = None
        fetch(RemoteFile(f"{address}/old.zip", digest=SHA256), tmp_path / "set.zip", waits=(0.0,))
    assert (tmp_path / "set.zip").read_bytes() == DATA


def test_nobody_there(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/set.zip"
        with pytest.raises(DataError, match=r"set\.zip: cannot be reached \(.*refused"):
            fetch(RemoteFile(url), tmp_path / "set.zip", waits=(0.0,))


def test_a_full_disk_is_said_before_the_first_byte(web, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(
        DataError, match=r"set\.zip needs 300 kB, but only 1 kB are free; free disk space or name another folder"
    ):
        get(web, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_checked(tmp_path):
    (tmp_path / "a.zip").write_bytes(DATA)
    require_known(RemoteFile("", len(DATA), SHA256), tmp_path / "a.zip")
    require_known(RemoteFile("", None, "md5:" + hashlib.md5(DATA).hexdigest()), tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"a\.zip: has 300,000 bytes, expected 5; remove it"):
        require_known(RemoteFile("", 5), tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"a\.zip: its md5 is .*, expected 00; remove it"):
        require_known(RemoteFile("", None, "md5:00"), tmp_path / "a.zip")
