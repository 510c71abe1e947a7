import json
from pathlib import Path

import pytest

from captioner.data.readers.records import read_records
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
        ('{"image": "a.jpg", "caption": "A"}\n{"image": "b.jpg"}', "line 2 lacks an `image` or a `caption`"),
        ('{"image": "a.jpg", "caption": "A"}\n{"image"', "line 2 is not JSON"),
        ('[{"image": "a.jpg", "caption": "A"}, 5]', "entry 2 lacks"),
        ('[{"image": "a.jpg", "caption": 5}]', "entry 1: the `image` or the `caption` is no text"),
        ('[{"image": true, "caption": "A"}]', "entry 1: the `image`"),
        ('[{"image": "a.jpg", "captions": ["", " "]}]', "entry 1: the `image`"),
        ("[]", "holds no captions"),
        ("[" * 100000, "not JSON that can be read"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=rf"captions\.txt: {fault}"):
        read_records(write(tmp_path, text))
