import json
from pathlib import Path

import pytest

from captioner.data.captions import Captions
from captioner.generation.caption import Caption
from captioner.metrics.scorer import score
from captioner.results import (
    describe_scores,
    read_per_image,
    read_scores,
    require_own_scores,
    write_predictions,
    write_scores,
)
from captioner.storage import DataError, read_manifest, write_manifest

CANDIDATES = {"42": "a dog", "b": 'a cat, "asleep"\tand still'}
REFERENCES = {"42": ["a dog"], "b": ["the cat sleeps", "a cat"]}


@pytest.mark.parametrize(("image_id", "written"), [("42", 42), ("0042", "0042"), ("a1", "a1")])
def test_ids_are_whole_numbers_only_where_that_loses_nothing(tmp_path, image_id, written):
    captions = Captions(references={image_id: ("a dog",)}, pictures={image_id: Path(f"x/{image_id}.jpg")})
    write_predictions({image_id: [Caption("a dog", ("a", "dog"), -1.0)]}, captions, tmp_path)
    [entry] = json.loads((tmp_path / "predictions.json").read_text())
    assert entry == {"image_id": written, "caption": "a dog", "file_name": f"{image_id}.jpg", "log_prob": -1.0}


def test_further_captions_are_alternatives_and_no_caption_is_no_number(tmp_path):
    decoded = {"a": [Caption("a dog", (), -1.0), Caption("dogs", (), -2.5)], "b": [Caption("", (), float("-inf"))]}
    write_predictions(decoded, Captions(references={}), tmp_path)
    first, second = json.loads((tmp_path / "predictions.json").read_text(), parse_constant=pytest.fail)
    assert first["alternatives"] == [{"caption": "dogs", "log_prob": -2.5}]
    assert second["log_prob"] is None and "alternatives" not in second


def test_new_scores_never_stand_beside_the_manifest_of_old_ones(tmp_path):
    (tmp_path / "scores.json").write_text("{}")
    write_manifest(tmp_path / "scores.json", "evaluate")
    write_scores(score(CANDIDATES, REFERENCES, ["bleu"]), CANDIDATES, tmp_path)
    assert read_manifest(tmp_path / "scores.json") is None


def test_what_is_written_is_read(tmp_path):
    scores = score(CANDIDATES, REFERENCES, ["bleu", "rouge", "diversity"], confidence=True)
    write_scores(scores, CANDIDATES, tmp_path, {"split": "dev", "beam_size": 3})
    corpus, intervals = read_scores(tmp_path)
    assert corpus == pytest.approx(scores.corpus, abs=1e-6)
    assert {key: pytest.approx(ends, abs=1e-6) for key, ends in scores.intervals.items()} == intervals
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["pictures"] == 2 and content["split"] == "dev" and content["confidence"]["level"] == 0.95
    for image_id, (caption, row) in read_per_image(tmp_path).items():
        assert caption == CANDIDATES[image_id]
        assert row == pytest.approx(scores.per_image[image_id], abs=1e-6)


def test_scores_that_are_none_are_named(tmp_path):
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(DataError, match=r"scores\.json: contains no scores"):
        read_scores(tmp_path)
    for text in ("a,b\n1,2\n", "image_id,bleu_1,caption\nx,high,a dog\n", "image_id,bleu_1,caption\nx,1\n"):
        (tmp_path / "per_image.csv").write_text(text)
        with pytest.raises(DataError, match=r"per_image\.csv: cannot be read as captions and scores"):
            read_per_image(tmp_path)


def test_scores_are_one_line_and_with_intervals_a_table():
    assert describe_scores({"bleu_1": 0.5}, {}) == "BLEU-1 50.00"
    assert describe_scores({"bleu_1": 0.5}, {"bleu_1": (0.4, 0.6)}).splitlines()[1] == "BLEU-1  50.00  40.00 to 60.00"


def test_predictions_of_others_are_not_replaced(tmp_path):
    (tmp_path / "predictions.json").write_text('[{"image_id": 1, "caption": "a dog"}]')
    require_own_scores(tmp_path, with_predictions=False)
    with pytest.raises(DataError, match=r"predictions\.json: already exists and was not written by captioner evaluate"):
        require_own_scores(tmp_path, with_predictions=True)
    write_predictions({"a": [Caption("a dog", ("a", "dog"), -1.0)]}, Captions(references={}), tmp_path)
    require_own_scores(tmp_path, with_predictions=True)
