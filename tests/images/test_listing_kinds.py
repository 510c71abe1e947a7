"""Which files of a folder are pictures: told by their endings or, where these say nothing, by their first bytes."""

import io
from pathlib import Path

import pytest
from PIL import Image

from captioner.images import walk
from captioner.images.listing import find_pictures, list_images
from captioner.storage import DataError

KINDS = {
    "a.jpg": "JPEG",
    "b.jfif": "JPEG",
    "c.jpe": "JPEG",
    "d": "JPEG",
    "e.JPG_large": "JPEG",
    "f.ppm": "PPM",
    "g.jp2": "JPEG2000",
    "h.bin": "PNG",
    "i.img": "GIF",
    "j.qoi": "QOI",
    "k.TIF": "TIFF",
    "l.photo": "WEBP",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, kind in KINDS.items():
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (200, 30, 30)).save(file, kind)
        (tmp_path / name).write_bytes(file.getvalue())
    for name in ("x.txt", "y.json", ".hidden"):
        (tmp_path / name).write_text("text")
    return tmp_path


def test_what_can_be_decoded_is_taken_whatever_it_is_called(folder: Path, said: list[str]) -> None:
    found = list_images(folder)
    assert {path.name for path in found.values()} == set(KINDS)
    assert list(find_pictures(folder).ids) == list(found)
    assert {"b", "c", "d", "f", "g", "j", "k", "h.bin", "e.JPG_large"} <= set(found)
    assert said == []


def test_what_is_left_out_is_counted_by_ending_in_one_line(
    folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "can_read_heif", lambda: False)
    (folder / "m.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    (folder / "n.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    (folder / "o.svg").write_text("<svg/>")
    (folder / "p").write_text("text")
    (folder / "empty.mp4").touch()
    for _ in range(2):
        assert len(list_images(folder)) == len(find_pictures(folder)) == len(KINDS)
    (line,) = said
    assert line.startswith(f"note: {folder}: files that are not readable pictures are left out: 2 .heic, ")
    assert "1 .svg" in line and "1 without extension" in line and "1 .mp4" in line
    assert line.endswith("; pip install 'captioner[heif]' reads HEIC")


def test_a_folder_without_pictures_says_which_are_read(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "a.mov").write_bytes(b"movie")
    with pytest.raises(DataError, match=r"no picture in it \(JPEG, PNG, GIF"):
        list_images(tmp_path)
    assert said == [f"note: {tmp_path}: files that are not readable pictures are left out: 1 .mov"]


def test_names_with_known_endings_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "b.PNG", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(walk, "kind_of", lambda head: pytest.fail(f"read {head!r}"))
    assert set(list_images(tmp_path)) == {"a", "b"}
