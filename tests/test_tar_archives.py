"""Tars that claim or unpack to far more than their bytes are refused before anything is read."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from captioner import tar_archives
from captioner.data.download import unpack as unpacking
from captioner.data.download.unpack import unpack
from captioner.data.readers.detect import read_data
from captioner.images.tars import members_of
from captioner.storage import DataError
from captioner.tar_archives import EXTENSIONS_OF_A_MEMBER, FREE_MEMBERS, open_tar


def header(name, size, kind):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(record):
    length = len(record) + 2
    while len(str(length)) + 1 + len(record) + 1 != length:
        length += 1
    content = f"{length} {record}\n".encode()
    return header("x", len(content), tarfile.XHDTYPE) + content + bytes(-len(content) % 512)


def whole_tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in {"a.jpg": b"\xff\xd8\xff", "a.txt": b"a dog"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


CASES = {
    "long name": header("x", 2**30, tarfile.GNUTYPE_LONGNAME) + bytes(512),
    "long link": header("x", 2**30, tarfile.GNUTYPE_LONGLINK) + bytes(512),
    "pax": header("x", 2**30, tarfile.XHDTYPE) + bytes(512),
    "global pax": header("x", 2**30, tarfile.XGLTYPE) + bytes(512),
    "many headers": header("x", 0, tarfile.XHDTYPE) * (EXTENSIONS_OF_A_MEMBER + 1),
    "sparse": header("x", 2**20, tarfile.GNUTYPE_SPARSE),
    "negative": pax("size=-5"),
    "digits": pax("GNU.sparse.map=" + "1" * 5000),
    "zero byte": pax("path=a\0b.jpg"),
    "length": header("x", 512, tarfile.XHDTYPE) + b"9" * 400 + b" path=a\n" + bytes(104),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "read", [read_data, lambda path: list(members_of(path)), lambda path: unpack(path, path.parent / "out")]
)
def test_forged_headers_are_refused_in_one_line(tmp_path, case, read):
    path = tmp_path / "a.tar"
    path.write_bytes(CASES[case] + whole_tar())
    with pytest.raises(DataError, match=r"a\.tar: ") as refusal:
        read(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_plain_tar_is_read(tmp_path, packed):
    path = tmp_path / ("a.tar.gz" if packed else "a.tar")
    path.write_bytes(gzip.compress(whole_tar()) if packed else whole_tar())
    assert read_data(path).references == {"a": ("a dog",)}
    with open_tar(path) as archive:
        assert [member.name for member in archive] == ["a.jpg", "a.txt"]


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    for module in (tar_archives, unpacking):
        monkeypatch.setattr(module, "FREE_BYTES", 2**20)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(header("a.bin", 2**23, tarfile.REGTYPE) + bytes(2**23) + whole_tar()))
    for read in (read_data, lambda path: unpack(path, tmp_path / "out")):
        with pytest.raises(DataError, match=r"a\.tar\.gz: .*unpacks to more than"):
            read(path)


def test_more_members_than_a_file_of_its_size_holds(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(header("a.txt", 0, tarfile.REGTYPE) * (FREE_MEMBERS + 2000)))
    with pytest.raises(DataError, match="members, far more than a file of its size holds"):
        read_data(path)


def test_a_missing_tar_has_its_own_error(tmp_path):
    with pytest.raises(OSError, match="No such file"), open_tar(Path(tmp_path / "none.tar")):
        pass
