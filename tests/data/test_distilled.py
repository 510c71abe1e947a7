import json

import pytest

from captioner.data.distilled import distilled_text
from captioner.storage import DataError

RANKED = [
    {
        "image_id": "a",
        "caption": "A dog runs .",
        "log_prob": -1.0,
        "alternatives": [{"caption": "a dog", "log_prob": -2}],
    },
    {"image_id": "b", "caption": "a cat", "log_prob": -1.0},
    {"image_id": "of-dev", "caption": "a ball", "log_prob": -1.0},
]


def test_every_generated_caption_of_a_training_picture_is_cleaned_and_no_other(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(RANKED))
    found = distilled_text(path, {"a", "b", "without"}, {"a", "b", "without", "of-dev"}, "ptb")
    assert found == {"a": [["a", "dog", "runs"], ["a", "dog"]], "b": [["a", "cat"]]}


def test_pictures_that_predict_names_with_their_folder_are_the_training_pictures(tmp_path):
    path = tmp_path / "captions.jsonl"
    lines = [
        {"file": "photos/train/a.jpg", "captions": [{"caption": "a dog runs"}, {"caption": "a dog"}]},
        {"file": "photos/train/of-dev.jpg", "captions": [{"caption": "a ball"}]},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    known = {"a", "without", "of-dev"}
    assert distilled_text(path, {"a", "without"}, known, "ptb") == {"a": [["a", "dog", "runs"], ["a", "dog"]]}


def test_a_dev_picture_with_the_name_of_a_training_picture_stays_one(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([{"image_id": "dev/a", "caption": "a dev picture"}]))
    with pytest.raises(DataError, match="no caption of a training picture"):
        distilled_text(path, {"a"}, {"a", "dev/a"}, "ptb")


def test_captions_of_other_pictures_alone_are_refused(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(RANKED))
    with pytest.raises(DataError, match=r"predictions\.json: no caption of a training picture; captioner evaluate RUN"):
        distilled_text(path, {"else"}, {"else", "a"}, "ptb")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"none\.json: no such file; captioner evaluate RUN --split train -n 3 writes one"
    ):
        distilled_text(tmp_path / "none.json", {"a"}, {"a"}, "ptb")
