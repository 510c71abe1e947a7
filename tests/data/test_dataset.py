from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from captioner.config import ConfigError, build
from captioner.data import dataset
from captioner.data.dataset import (
    DataConfig,
    Dataset,
    load_captions,
    read_captions,
)
from captioner.storage import DataError, digest_file
from tests.shared import FLICKR8K, needs_flickr8k


def test_captions_alone_are_their_references(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a.jpg#0\tA dog\n")
    assert read_captions(tmp_path / "captions.txt") == {"a": ("A dog",)}
    (tmp_path / "info.json").write_text('{"images": [{"id": 1, "file_name": "a.jpg"}]}')
    with pytest.raises(DataError, match=r"info\.json: has 1 pictures but no captions"):
        read_captions(tmp_path / "info.json")


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
    with pytest.raises(DataError, match=r"2 of the 3 pictures of split 'dev' have no caption .* \(first: 'y'\)"):
        load_captions(config, ["dev"])


def test_a_picture_in_two_splits_is_a_leak(config: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text("c.jpg\na.jpg\n")
    with pytest.raises(DataError, match=r"splits 'train' and 'dev' share 1 pictures \(first: 'a'\)"):
        load_captions(config, ["train", "dev"])
    assert load_captions(config, ["dev", "dev"]).splits == {"dev": ("c", "a")}


def test_an_unknown_split_is_refused_with_the_known_ones(config: DataConfig) -> None:
    with pytest.raises(DataError, match=r"split 'val' is not in the data \(known: train, dev, test\)"):
        load_captions(config, ["val"])
    with pytest.raises(DataError, match=r"split 'val' .*\(known: train\)"):
        load_captions(config, ["train"]).split("val")


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, r"data\.captions: missing"),
        ({"captions": "a.txt", "format": "tsv"}, "data: format: 'tsv' is not known"),
        ({"captions": "a.txt", "splits": []}, r"data\.splits: expected a mapping"),
        ({"captions": "a.txt", "splits": {"train": 0.8, "dev": "dev.txt"}}, "data: splits: give lists for all splits"),
        ({"captions": "a.txt", "splits": {"train": 0.9, "dev": 0.2}}, r"splits: the shares add up to 1\.1"),
        ({"captions": "a.txt", "splits": {"train": 80, "dev": 20}}, r"splits\.train: a share .* found 80"),
        ({"captions": "a.txt", "splits": {"train": 0.9, "dev": 0}}, r"splits\.dev: a share .* found 0"),
        ({"captions": 5}, r"data\.captions: expected text or a list"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        build(DataConfig, settings, "data")


def test_without_splits_those_of_the_captions_are_taken(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("image,caption,split\na.jpg,A,train\nb.jpg,B,val\n")
    config = DataConfig(captions=str(tmp_path / "c.csv"))
    assert load_captions(config).splits == {"train": ("a",), "dev": ("b",)}
    assert load_captions(config, ["dev"]).splits == {"dev": ("b",)}
    assert Dataset(config).split_digests() == {} and Dataset(config).present_splits() is None
    Dataset(config).require_split("dev", "here")
    with pytest.raises(ConfigError, match=r"here: 'test' is not in data\.splits \(known: train, dev\)"):
        Dataset(config).require_split("test", "here")
    with pytest.raises(DataError, match=r"split 'test' is not in the data \(known: train, dev\)"):
        load_captions(config, ["test"])


def test_captions_with_a_training_split_alone_lend_a_part_of_it_as_dev(tmp_path: Path, said: list[str]) -> None:
    rows = [f"p{number},a dog,{'train' if number < 40 else 'test'}" for number in range(50)]
    (tmp_path / "captions.csv").write_text("\n".join(["image,caption,split", *rows]))
    config = DataConfig(captions=str(tmp_path / "captions.csv"))
    splits = Dataset(config).load().splits
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 30, "dev": 10, "test": 10}
    assert not set(splits["train"]) & set(splits["dev"])
    assert Dataset(config).load().splits == splits  # in every command the same
    (tmp_path / "few.csv").write_text("image,caption,split\na,a dog,train")
    assert load_captions(DataConfig(captions=str(tmp_path / "few.csv"))).splits == {"train": ("a",)}
    assert said[-1].endswith("captions.csv: has no dev split; using 10 of its 40 training pictures")


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captions.txt").write_text("".join(f"p{number}.jpg#0\tA {number}\n" for number in range(40)))
    return DataConfig(captions="captions.txt", splits={"train": 0.8, "dev": 0.1, "test": 0.1})


def test_shares_become_lists_once(shared: DataConfig, tmp_path: Path, said: list[str]) -> None:
    first = load_captions(shared, ["train", "dev"])
    (folder,) = (tmp_path / "splits").iterdir()
    assert folder.name.startswith("captions-")
    assert said == [
        f"splits/{folder.name}/{name}.txt: {n} pictures" for name, n in (("train", 32), ("dev", 4), ("test", 4))
    ]
    assert {name: len(ids) for name, ids in first.splits.items()} == {"train": 32, "dev": 4}
    said.clear()
    whole = load_captions(shared, None)
    assert whole.splits["train"] == first.splits["train"] and len(whole.splits) == 3 and not said
    assert Dataset(shared).split_digests() == {name: digest_file(folder / f"{name}.txt") for name in whole.splits}
    (folder / "dev.txt").write_text("p39\n")  # the lists count, however they came there
    ids = whole.split("dev")
    assert load_captions(shared, ["dev"]).split("dev") == ("p39",) != ids


def test_other_settings_make_other_lists(shared: DataConfig, tmp_path: Path) -> None:
    first = load_captions(shared).splits
    seeded = load_captions(replace(shared, split_seed=1)).splits
    assert seeded != first and len(list((tmp_path / "splits").iterdir())) == 2
    with (tmp_path / "captions.txt").open("a") as file:
        file.write("p40.jpg#0\tA 40\n")
    grown = load_captions(shared).splits
    moved = [name for name in first["train"] if name not in grown["train"]]
    assert len(list((tmp_path / "splits").iterdir())) == 3 and len(moved) <= 1


def test_shares_look_for_near_duplicates_where_there_are_pictures(
    shared: DataConfig, tmp_path: Path, said: list[str]
) -> None:
    config = replace(shared, images="pictures")
    with pytest.raises(
        DataError, match=r"pictures: no such folder; dividing by shares looks there .* splits/captions-"
    ):
        load_captions(config)
    assert len(load_captions(replace(config, near_duplicates=False)).split("train")) == 32
    said.clear()
    (tmp_path / "pictures").mkdir()
    for number in range(39):
        Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / f"p{number}.jpg")
    with pytest.raises(
        DataError, match="39 pictures, 1 that do not look alike, are too few for a split 'dev'"
    ):  # all of them look alike
        load_captions(config)
    assert said[0] == "note: 1 of 40 pictures are not in pictures and are left out of all splits (p39)"
    assert said[1].startswith("near-duplicate pictures, kept in one split: 1 group (p0 = p1 = p10")


def test_a_list_that_is_not_there_is_said(config: DataConfig, said: list[str]) -> None:
    assert Dataset(config).present_splits() == ["train", "dev"]
    assert said == [f"note: split test is left out: {config.splits['test']} does not exist"]
    assert set(Dataset(config).split_digests()) == {"train", "dev"}
    Dataset(config).require_split("dev", "here")
    with pytest.raises(DataError, match=r"test\.txt: no such file; data\.splits\.test"):
        Dataset(config).require_split("test", "here")


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


def test_captions_are_read_and_hashed_once(config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    for name in ("read_data", "digest_captions", "list_images"):
        real = getattr(dataset, name)
        monkeypatch.setattr(dataset, name, lambda *given, name=name, real=real: calls.append(name) or real(*given))
    data = Dataset(config)
    for splits in (["train"], ["dev"], ["train", "dev"]):
        data.load(splits)
        assert data.digest == Dataset(config).digest
    data.require_split("dev", "here")
    assert data.has_split("train")
    assert calls.count("read_data") == 1 and calls.count("list_images") <= 1
    assert calls.count("digest_captions") == 4, "once for the data set, and once for each of the three others"
