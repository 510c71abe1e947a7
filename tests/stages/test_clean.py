import errno
import os
from pathlib import Path

import pytest

from captioner.config import ConfigError
from captioner.data.dataset import DataConfig, Dataset
from captioner.data.readers.detect import digest_captions
from captioner.stages.clean import clean, is_cleaned, read_descriptions, write_descriptions
from captioner.storage import DataError, digest_file, manifest_path, read_manifest

TOKENS = "b.jpg#0\tA dog's ball .\nb.jpg#1\t. ,\na.jpg#0\tA cat\nc.jpg.1#0\tTwo cats\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.txt"
    path.write_text(TOKENS)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    descriptions = {"b%20c": ("a dog", "the dog"), "a/x.jpg.1": ("a cat",)}
    write_descriptions(tmp_path / "descriptions.txt", descriptions)
    assert (tmp_path / "descriptions.txt").read_text() == "b%20c a dog\nb%20c the dog\na/x.jpg.1 a cat\n"
    assert read_descriptions(tmp_path / "descriptions.txt").references == descriptions


@pytest.mark.parametrize(
    ("rules", "words"), [("ptb", ("a dog 's ball", "a cat", "two cats")), ("classic", ("dogs ball", "cat", "two cats"))]
)
def test_cleaning_applies_the_rules_and_drops_what_they_leave_empty(
    source: Path, tmp_path: Path, rules: str, words: tuple[str, ...], said: list[str]
) -> None:
    result = clean(source, tmp_path / "out" / "descriptions.txt", rules)
    found = read_descriptions(tmp_path / "out" / "descriptions.txt").references
    assert found == {"b": (words[0],), "a": (words[1],), "c.jpg.1": (words[2],)}
    assert (result.pictures, result.captions, result.dropped) == (3, 3, 1)
    assert result.longest == max(len(caption.split()) for caption in words)
    assert result.words == len({word for caption in words for word in caption.split()})
    assert "3 pictures, 3 captions" in said[0]
    assert said[1] == "dropped: 1 caption that the rules left empty"


def test_the_manifest_names_the_source(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "descriptions.txt"
    clean(source, output, "ptb")
    manifest = read_manifest(output)
    assert manifest is not None
    assert (manifest["stage"], manifest["rules"], manifest["captions"]) == ("clean", "ptb", 3)
    assert manifest["source_digest"] == digest_file(source)
    assert manifest["digest"] == digest_file(output)


def test_descriptions_are_up_to_date_until_something_that_they_come_from_changes(
    source: Path, tmp_path: Path, said: list[str]
) -> None:
    output, images = tmp_path / "descriptions.txt", tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").touch()

    def fresh(rules: str = "ptb") -> bool:
        return is_cleaned(output, rules, Dataset(DataConfig(captions=str(source))), images)

    assert not fresh()
    clean(source, output, "ptb", images=images)
    assert fresh() and not fresh("classic")
    assert said[-1] == f"{output}: up to date (3 pictures, 3 captions)"
    (images / "b.jpg").touch()
    assert not fresh()
    clean(source, output, "ptb", images=images)
    output.write_text(output.read_text() + "d edited by hand\n")
    assert not fresh()
    clean(source, output, "ptb", images=images)
    source.write_text(TOKENS + "d.jpg#0\tA bird\n")
    assert not fresh()


def test_several_sources_are_cleaned_together(source: Path, tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("image,caption\nd.jpg,Ein Mädchen läuft.\n")
    sources = (str(source), str(tmp_path / "more.csv"))
    result = clean(sources, tmp_path / "descriptions.txt", "lower")
    assert result.pictures == 4 and result.text["d"] == [["ein", "mädchen", "läuft"]]
    manifest = read_manifest(tmp_path / "descriptions.txt")
    assert manifest is not None
    assert manifest["source"] == list(sources) and manifest["source_digest"] == digest_captions(sources)
    with pytest.raises(ConfigError, match=r"tokens\.txt: is the caption file itself"):
        clean(sources, source, "lower")


def test_a_folder_in_which_no_captioned_picture_lies_is_said(source: Path, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "images" / "sub" / "a.jpg").touch()
    clean(source, tmp_path / "descriptions.txt", "ptb", images=tmp_path / "images")
    assert said[-1] == (
        f"note: {tmp_path / 'images'} and the captions have no id in common: 'sub/a' in one, 'b' in the other; "
        "ids are paths relative to that folder; name the right folder"
    )


def test_pictures_without_captions_and_the_reverse_are_reported(source: Path, tmp_path: Path, said: list[str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ["a", "b", "d", "e", "f", "g"]:
        (images / f"{name}.jpg").touch()
    result = clean(source, tmp_path / "descriptions.txt", "ptb", images=images)
    assert result.without_captions == ("d", "e", "f", "g")
    assert result.without_picture == ("c.jpg.1",)
    assert f"note: 4 pictures in {images} without a caption (d, e, f, ...)" in said
    assert f"note: 1 picture with captions but not in {images} (c.jpg.1)" in said


def test_rules_that_leave_nothing_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("a.jpg#0\t. . .\n")
    with pytest.raises(DataError, match="leave no caption"):
        clean(tmp_path / "tokens.txt", tmp_path / "descriptions.txt", "classic")
    assert not (tmp_path / "descriptions.txt").exists()


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0picture", b"# Notes\n\nMine.\n", b"\x80\x04."])
def test_a_file_that_cleaning_did_not_write_is_not_replaced(source: Path, tmp_path: Path, content: bytes) -> None:
    output = tmp_path / "photo.jpg"
    output.write_bytes(content)
    with pytest.raises(DataError, match=r"photo\.jpg: already exists and was not written by captioner clean"):
        clean(source, output, "ptb")
    assert output.read_bytes() == content
    output.unlink()
    clean(source, output, "ptb")
    clean(source, output, "lower")  # its own


def test_a_full_disk_leaves_the_former_file_and_its_manifest(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "descriptions.txt"
    clean(source, output, "ptb")
    before = output.read_bytes(), manifest_path(output).read_bytes()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(DataError, match=r"descriptions\.txt: cannot be written \(No space left on device\)"):
            clean(source, output, "lower")
    assert (output.read_bytes(), manifest_path(output).read_bytes()) == before
