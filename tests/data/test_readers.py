from pathlib import Path

import pytest

from captioner.config import ConfigError, build
from captioner.data.readers import READERS, DataConfig, detect_format, load_captions, read_captions, read_split
from captioner.storage import DataError
from tests.data.shared import FLICKR8K, needs_flickr8k

FILES = {
    "flickr": "a.jpg#0\tA dog, a cat\n",
    "csv": 'image,caption\na.jpg,"A dog, a cat"\n',
    "coco": '{"annotations": [{"image_id": "a", "caption": "A dog, a cat"}]}',
    "descriptions": "a A dog, a cat\n",
}


@pytest.mark.parametrize("name", READERS)
def test_every_form_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "captions"
    path.write_text(FILES[name], encoding="utf-8")
    assert detect_format(path) == name
    assert read_captions(path) == read_captions(path, name) == {"a": ("A dog, a cat",)}


def test_bars_are_a_table_and_blank_lines_at_the_top_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("image_name| comment_number| comment\na.jpg| 0| A dog\n")
    assert detect_format(path) == "csv"
    path.write_text("\n\na.jpg#0\tA dog\n")
    assert read_captions(path) == {"a": ("A dog",)}


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize("name", ["auto", *READERS])
def test_an_empty_file_is_refused(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / "captions.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"captions\.txt: "):
        read_captions(path, name)


def test_a_missing_file_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_captions(tmp_path / "none.txt")
    with pytest.raises(ConfigError, match=r"'tsv' is not known .*auto, flickr, csv"):
        read_captions(tmp_path / "none.txt", "tsv")


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    captions = "".join(f"{name}.jpg#{number}\tA {name}\n" for name in "abcd" for number in range(2))
    (tmp_path / "captions.txt").write_text(captions)
    (tmp_path / "train.txt").write_text("b.jpg\na.jpg\n\na.jpg#0\n")
    (tmp_path / "dev.txt").write_text("c\n")
    splits = {name: str(tmp_path / f"{name}.txt") for name in ("train", "dev", "test")}
    return DataConfig(images=str(tmp_path / "images"), captions=str(tmp_path / "captions.txt"), splits=splits)


def test_only_the_lists_asked_for_are_opened(config: DataConfig) -> None:
    # there is no test.txt
    captions = load_captions(config, ["train", "dev"])
    assert captions.splits == {"train": ("b", "a"), "dev": ("c",)}
    assert captions.references["d"] == ("A d", "A d")
    with pytest.raises(DataError, match=r"test\.txt: no such file"):
        load_captions(config)


def test_pictures_are_listed_where_their_folder_is(config: DataConfig, tmp_path: Path) -> None:
    assert load_captions(config, []).pictures == {}
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    assert load_captions(config, ["train"]).pictures == {"a": tmp_path / "images" / "a.jpg"}


def test_a_split_that_names_a_picture_without_captions_is_refused(config: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text("c.jpg\ny.jpg\nz.jpg\n")
    with pytest.raises(DataError, match=r"dev\.txt: 2 of the 3 pictures of split 'dev' have no caption .* first 'y'"):
        load_captions(config, ["dev"])


def test_a_picture_in_two_splits_is_a_leak(config: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text("c.jpg\na.jpg\n")
    with pytest.raises(DataError, match="splits 'train' and 'dev' share 1 pictures, first 'a'"):
        load_captions(config, ["train", "dev"])
    assert load_captions(config, ["dev", "dev"]).splits == {"dev": ("c", "a")}


def test_an_unknown_split_is_refused_with_the_known_ones(config: DataConfig) -> None:
    with pytest.raises(DataError, match=r"split 'val' is not in the data \(known: train, dev, test\)"):
        load_captions(config, ["val"])
    with pytest.raises(DataError, match=r"split 'val' .*\(known: train\)"):
        load_captions(config, ["train"]).split("val")


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train\.txt: names no picture"):
        read_split(tmp_path / "train.txt")


@pytest.mark.parametrize("settings", [{}, {"captions": "a.txt", "format": "tsv"}, {"captions": "a.txt", "splits": []}])
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"data\.captions|data: format 'tsv'|data\.splits"):
        build(DataConfig, settings, "data")


@pytest.mark.slow
@needs_flickr8k
def test_flickr8k_fits_together() -> None:
    captions = load_captions(
        DataConfig(
            images=str(FLICKR8K / "Flicker8k_Dataset"),
            captions=str(FLICKR8K / "Flickr8k.token.txt"),
            splits={
                "train": str(FLICKR8K / "Flickr_8k.trainImages.txt"),
                "dev": str(FLICKR8K / "Flickr_8k.devImages.txt"),
            },
        )
    )
    assert (len(captions.split("train")), len(captions.split("dev")), len(captions.pictures)) == (6000, 1000, 7000)
    assert all(image_id in captions.pictures for name in captions.splits for image_id in captions.split(name))
