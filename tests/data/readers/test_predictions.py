import json

import pytest

from captioner.data.readers.predictions import read_lists, read_predictions
from captioner.storage import DataError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_coco_results_form(tmp_path):
    path = write(
        tmp_path / "p.json", json.dumps([{"image_id": 42, "caption": "A dog ."}, {"image_id": "x.jpg", "caption": ""}])
    )
    assert read_predictions(path) == {"42": "A dog .", "x": ""}


def test_lines(tmp_path):
    path = write(tmp_path / "p.txt", "a.jpg\tA dog , running .\n\nb A cat .\nc\n")
    assert read_predictions(path) == {"a": "A dog , running .", "b": "A cat .", "c": ""}


def test_what_unicode_counts_as_a_line_end_ends_no_line(tmp_path):
    path = write(tmp_path / "p.txt", "a A dog\u2028 runs\nb A cat\n")
    assert read_predictions(path) == {"a": "A dog\u2028 runs", "b": "A cat"}


def test_the_line_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "p.txt"
    path.write_bytes(b"a A dog\nb A caf\xe9\n")
    with pytest.raises(DataError, match=r"p\.txt: line 2 is not UTF-8"):
        read_predictions(path)


def test_lists_of_several_captions_a_picture(tmp_path):
    entries = [{"image_id": 7, "caption": "a", "alternatives": [{"caption": "b", "log_prob": -3.5}]}]
    assert read_lists(write(tmp_path / "p.json", json.dumps(entries))) == {"7": ["a", "b"]}
    assert read_lists(write(tmp_path / "p.txt", "x a\ny c\nx.jpg b\n")) == {"x": ["a", "b"], "y": ["c"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("[", "line 1 is not JSON"),
        ("{}", "contains no captions"),
        ('[{"image_id": 1}]', "entry 1 has no `image` or no `caption`"),
        ('[{"image_id": 1, "caption": 5}]', "entry 1: the `image_id` or the `caption` is not text"),
        ('[{"image_id": 1.5, "caption": "x"}]', "entry 1: the `image_id` or the `caption` is not text"),
        ('[{"image_id": true, "caption": "x"}]', "entry 1: the `image_id` or the `caption` is not text"),
        ('[{"image_id": 1, "caption": "a", "alternatives": [3]}]', "entry 1: the `image_id` or the `caption` is no"),
        ("[]", "contains no captions"),
        ("a one\nb two\na.jpg three\n", "a has 2 captions; keep one per picture"),
    ],
)
def test_broken_files_say_where(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_predictions(write(tmp_path / "p", text))
