import json
from pathlib import Path

import pytest

from captioner.data.readers.records import read_mapping, read_records
from captioner.storage import DataError


def write(folder: Path, text: str, name: str = "captions.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_json_lines_and_lists(tmp_path: Path) -> None:
    records = [
        {"image": "a.jpg", "caption": "A dog"},
        {"image": "b.jpg", "captions": ["A cat", " ", "Two cats"], "split": "val"},
        {"file_name": "c.jpg", "text": "Three", "split": None},
        {"image": "val2014/COCO_val2014_000000522418.jpg", "caption": "A woman", "image_id": "coco_522418"},
        {"image_id": 9, "caption": "Nine"},
    ]
    expected = {
        "a": ("A dog",),
        "b": ("A cat", "Two cats"),
        "c": ("Three",),
        "522418": ("A woman",),
        "9": ("Nine",),
    }
    for text in ("\n".join(json.dumps(record) for record in records), json.dumps(records, indent=1)):
        captions = read_records(write(tmp_path, text))
        assert captions.references == expected
        assert captions.splits == {"dev": ("b",)}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"image": "a.jpg", "caption": "A"}\n{"image": "b.jpg"}', "line 2 has no `image` or no `caption`"),
        ('{"image": "a.jpg", "caption": "A"}\n{"image"', "line 2 is not JSON"),
        ('[{"image": "a.jpg", "caption": "A"}, 5]', "entry 2 has no"),
        ('[{"image": "a.jpg", "caption": 5}]', "entry 1: the `image` or the `caption` is not text"),
        ('[{"image": true, "caption": "A"}]', "entry 1: the `image`"),
        ('[{"image": "a.jpg", "captions": ["", " "]}]', "entry 1: the `image`"),
        ("[]", "contains no captions"),
        ("[" * 100000, "cannot be read as JSON"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=rf"captions\.txt: {fault}"):
        read_records(write(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "references", "splits"),
    [
        (
            {
                "train": [{"image": "a.jpg", "caption": "x one"}],
                "val": [{"image": "b.jpg", "caption": "x two"}],
                "test": [{"image": "c.jpg", "caption": "x three"}],
            },
            {"a": ("x one",), "b": ("x two",), "c": ("x three",)},
            {"train": ("a",), "dev": ("b",), "test": ("c",)},
        ),
        (
            {"train": {"a.jpg": ["x one", "x four"]}, "val": {"b.jpg": "x two"}},
            {"a": ("x one", "x four"), "b": ("x two",)},
            {"train": ("a",), "dev": ("b",)},
        ),
        (
            {
                "1": [{"image_id": 1, "id": 5, "caption": "a dog"}, {"image_id": 1, "id": 6, "caption": "dogs"}],
                "2": [{"image_id": 2, "id": 7, "caption": "a cat"}],
            },
            {"1": ("a dog", "dogs"), "2": ("a cat",)},
            {},
        ),
        (
            {"a.jpg": [{"image_id": 1, "caption": "a dog"}], "b.jpg": [{"image_id": 2, "caption": "a cat"}]},
            {"a": ("a dog",), "b": ("a cat",)},
            {},
        ),
        (
            {"licenses": [{"id": 1, "name": "CC", "text": "foo"}], "data": [{"image_id": 1, "caption": "x y"}]},
            {"1": ("x y",)},
            {},
        ),
        (
            {"a.jpg": {"captions": ["x y"], "split": "train"}, "b.jpg": [{"caption": "z", "split": "val"}]},
            {"a": ("x y",), "b": ("z",)},
            {"train": ("a",), "dev": ("b",)},
        ),
    ],
)
def test_an_objects_lists_of_records_are_all_read(
    tmp_path: Path, content: object, references: object, splits: object
) -> None:
    captions = read_mapping(write(tmp_path, json.dumps(content)))
    assert captions.references == references
    assert captions.splits == splits


def test_the_predictions_of_all_pictures_are_read_from_lists_by_picture(tmp_path: Path) -> None:
    content = {"1": [{"image_id": 1, "caption": "a dog"}], "2": [{"image_id": 2, "caption": "a cat"}], "3": []}
    found = read_mapping(write(tmp_path, json.dumps(content)), predictions=True)
    assert found.references == {"1": ("a dog",), "2": ("a cat",), "3": ("",)}


def test_lists_of_records_that_nothing_puts_together_are_refused(tmp_path: Path) -> None:
    content = {"good": [{"image": "a.jpg", "caption": "x"}], "bad": [{"image": "b.jpg", "caption": "y"}]}
    with pytest.raises(DataError, match="several lists of records, such as 'good' and 'bad'"):
        read_mapping(write(tmp_path, json.dumps(content)))


def test_a_split_that_lacks_a_caption_is_named_or_left_out_as_a_whole(tmp_path: Path) -> None:
    content = {"train": [{"image": "a.jpg", "caption": "x"}], "test": [{"image": "b.jpg"}]}
    assert read_mapping(write(tmp_path, json.dumps(content))).splits == {"train": ("a",)}
    content["test"].append({"image": "c.jpg", "caption": "z"})
    with pytest.raises(DataError, match="test, entry 1 has no"):
        read_mapping(write(tmp_path, json.dumps(content)))
