from pathlib import Path

import pytest

from captioner.data.captions import Captions, merge, require_apart, split_name
from captioner.data.readers.detect import read_data
from captioner.storage import DataError


def test_a_split_is_its_ids_and_an_unknown_one_names_the_known() -> None:
    captions = Captions({"a": ("A dog",)}, splits={"train": ("a",), "dev": ()})
    assert captions.split("train") == ("a",)
    with pytest.raises(DataError, match=r"split 'test' is not in the data \(known: train, dev\)"):
        captions.split("test")
    with pytest.raises(DataError, match=r"\(known: none\)"):
        Captions({}).split("val")


@pytest.mark.parametrize(
    ("text", "name"), [("val", "dev"), ("Validation ", "dev"), ("restval", "train"), ("train", "train"), ("odd", "odd")]
)
def test_splits_have_one_name_here(text: str, name: str) -> None:
    assert split_name(text) == name


def test_a_picture_in_two_splits_is_named() -> None:
    require_apart({"train": ["a", "a"], "dev": ["b"]})
    with pytest.raises(DataError, match=r"splits 'train' and 'test' share 2 pictures \(first: 'b'\)"):
        require_apart({"train": ["a", "b", "c"], "dev": ["d"], "test": ["b", "c"]})


def test_merging_adds_captions_and_refuses_a_leak() -> None:
    first = Captions({"a": ("A dog",), "b": ("A cat",)}, splits={"train": ("a", "b")})
    second = Captions({"a": ("Dog",), "c": ("A bird",)}, {"c": Path("c.jpg")}, {"train": ("a",), "dev": ("c",)})
    merged = merge([(Path("x.json"), first), (Path("y.json"), second)])
    assert merged.references == {"a": ("A dog", "Dog"), "b": ("A cat",), "c": ("A bird",)}
    assert merged.splits == {"train": ("a", "b"), "dev": ("c",)} and merged.pictures == {"c": Path("c.jpg")}
    with pytest.raises(DataError, match=r"x\.json, y\.json: splits 'train' and 'dev' share 1 pictures \(first: 'b'\)"):
        merge([(Path("x.json"), first), (Path("y.json"), Captions({"b": ("B",)}, splits={"dev": ("b",)}))])


def test_absolute_paths_in_several_files_are_cut_as_in_one(tmp_path: Path) -> None:
    header = "image,caption,split"
    (tmp_path / "train.csv").write_text(f"{header}\n/data/train/1.jpg,A dog,train\n/data/train/2.jpg,Two dogs,train\n")
    (tmp_path / "val.csv").write_text(f"{header}\n/data/val/1.jpg,A cat,val\n")
    several = read_data([tmp_path / "train.csv", tmp_path / "val.csv"])
    assert several.references == {"train/1": ("A dog",), "train/2": ("Two dogs",), "val/1": ("A cat",)}
    assert several.splits == {"train": ("train/1", "train/2"), "dev": ("val/1",)}


def test_absolute_paths_are_cut_to_the_folders_of_relative_ones_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,caption\n/data/im/1.jpg,A dog\n")
    (tmp_path / "b.csv").write_text("image,caption\nim/1.jpg,Dogs\nim/2.jpg,A cat\n")
    several = read_data([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert several.references == {"im/1": ("A dog", "Dogs"), "im/2": ("A cat",)}
