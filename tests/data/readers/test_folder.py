import io
import json
import tarfile
from pathlib import Path

import pytest

from captioner.data.readers import folder as folder_module
from captioner.data.readers.folder import read_folder, read_webdataset
from captioner.storage import DataError


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def make_tar(path: Path, files: dict[str, str], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_texts_beside_pictures(tmp_path: Path) -> None:
    files = {"b.jpg": "", "b.txt": "A dog .\n\n The dog\n", "sub/a.png": "", "sub/a.caption": "A cat", "c.jpg": ""}
    captions = read_folder(write(tmp_path, {**files, "readme.txt": "not a caption", "d.jpg": "", "d.txt": "\n"}))
    assert captions.references == {"b": ("A dog .", "The dog"), "sub/a": ("A cat",)}
    assert captions.pictures["sub/a"] == tmp_path / "sub" / "a.png"
    assert set(captions.pictures) == {"b", "c", "d", "sub/a"}


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"a.txt": "A dog"}, "no picture in it"),
        ({"a.jpg": "", "b.txt": "A dog"}, "no picture in it has a text file beside it"),
        ({"a.jpg": "", "a.txt": " "}, "are all empty"),
    ],
)
def test_a_folder_without_captions(tmp_path: Path, files: dict[str, str], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read_folder(write(tmp_path, files))


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz")])
def test_a_webdataset_tar(tmp_path: Path, name: str, mode: str) -> None:
    files = {
        "000.jpg": "JPEG",
        "000.txt": "A dog .\nThe dog\n",
        "000.json": json.dumps({"caption": "not this one"}),
        "x/001.png": "PNG",
        "x/001.json": json.dumps({"caption": "A cat", "width": 3}),
        "./002.cls": "5",
        "./002.jpg": "JPEG",
        "./002.json": json.dumps({"captions": ["One dog", "", "Two", 5]}),
        "003.jpg": "JPEG",
        "004.seg.png": "PNG",
        "004.txt": "A bird",
    }
    captions = read_webdataset(make_tar(tmp_path / name, files, mode))
    assert captions.references == {
        "000": ("A dog .", "The dog"),
        "x/001": ("A cat",),
        "002": ("One dog", "Two"),
        "004": ("A bird",),
    }


def test_an_unpacked_tar_has_the_same_ids(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", {"p/a b.jpg": "", "p/a b.txt": "A dog", "q.jpeg": "", "q.txt": "A cat"})
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    assert read_webdataset(path).references == read_folder(tmp_path / "out").references


def test_tars_that_are_broken_or_claim_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_tar(tmp_path / "a.tar", {"a.jpg": "x" * 2000, "a.txt": "A dog", "b.jpg": "x" * 9000, "b.txt": "A cat"})
    data = path.read_bytes()
    path.write_bytes(data[:3000])
    with pytest.raises(DataError, match=r"a\.tar: not a whole tar"):
        read_webdataset(path)
    path.write_bytes(b"no tar at all")
    with pytest.raises(DataError, match=r"a\.tar: not a whole tar"):
        read_webdataset(path)
    with pytest.raises(DataError, match="no such file"):
        read_webdataset(tmp_path / "none.tar")
    with pytest.raises(DataError, match="contains no captions"):
        read_webdataset(make_tar(path, {"a.jpg": ""}))
    with pytest.raises(DataError, match=r"a\.json is not UTF-8 or not JSON"):
        read_webdataset(make_tar(path, {"a.jpg": "", "a.json": "{"}))
    monkeypatch.setattr(folder_module, "LARGEST_TEXT", 4)
    with pytest.raises(DataError, match=r"a\.txt claims 5 bytes"):
        read_webdataset(make_tar(path, {"a.jpg": "", "a.txt": "A dog"}))
