import json

import pytest

from captioner.data.predictions import read_predictions
from captioner.storage import DataError


def write(path, text):
    path.write_text(text)
    return path


def test_coco_results_form(tmp_path):
    path = write(
        tmp_path / "p.json", json.dumps([{"image_id": 42, "caption": "A dog ."}, {"image_id": "x.jpg", "caption": ""}])
    )
    assert read_predictions(path) == {"42": "A dog .", "x": ""}


def test_lines(tmp_path):
    path = write(tmp_path / "p.txt", "a.jpg\tA dog , running .\n\nb A cat .\nc\n")
    assert read_predictions(path) == {"a": "A dog , running .", "b": "A cat .", "c": ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("[", "line 1 is not JSON"),
        ("{}", "expected a list of image_id and caption"),
        ('[{"image_id": 1}]', "entry 1 has no image_id and caption"),
        ('[{"image_id": 1, "caption": null}]', "entry 1: the caption must be text"),
        ('[{"image_id": 1.5, "caption": "x"}]', "entry 1: the caption must be text and the image_id text or a whole"),
        ("a one\nb two\na.jpg three\n", "line 3: a has a caption already"),
    ],
)
def test_broken_files_say_where(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_predictions(write(tmp_path / "p", text))
