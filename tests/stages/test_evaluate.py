import csv
import json

import numpy as np
import pytest

import captioner
from captioner.data.dataset import load_captions
from captioner.features.store import open_features, write_features
from captioner.metrics.config import EvaluationConfig
from captioner.metrics.scorer import score
from captioner.stages.evaluate import evaluate, require_same_encoder
from captioner.stages.train import train
from captioner.storage import DataError
from tests.training.project import make_project


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    sections = make_project(folder)
    train(folder / "run", sections)
    return folder, sections, captioner.load(folder / "run")


def test_scores_equal_those_of_the_written_predictions(trained, tmp_path):
    _, sections, model = trained
    captions = load_captions(sections.data, ("dev",))
    features = open_features(sections.features)
    scores = evaluate(model, captions, features, EvaluationConfig(), tmp_path, inputs={}, generation={})
    predictions = json.loads((tmp_path / "predictions.json").read_text())
    assert [entry["image_id"] for entry in predictions] == list(captions.split("dev"))
    again = score({p["image_id"]: p["caption"] for p in predictions}, captions.references, ["bleu", "rouge", "cider"])
    assert again.corpus == scores.corpus
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["bleu_4"] == pytest.approx(scores.corpus["bleu_4"], abs=1e-6)
    assert written["pictures"] == 8
    rows = list(csv.DictReader((tmp_path / "per_image.csv").read_text().splitlines()))
    assert [row["image_id"] for row in rows] == list(captions.split("dev"))
    assert np.mean([float(row["cider_d"]) for row in rows]) == pytest.approx(written["cider_d"], abs=1e-5)


def test_no_start_or_end_token_is_in_a_prediction(trained, tmp_path):
    _, sections, model = trained
    captions, features = load_captions(sections.data, ("dev",)), open_features(sections.features)
    evaluate(model, captions, features, EvaluationConfig(metrics=("bleu",)), tmp_path, inputs={}, generation={})
    text = (tmp_path / "predictions.json").read_text()
    assert "<" not in text
    assert "startseq" not in text


def test_features_of_another_encoder_are_refused(trained, tmp_path):
    _, sections, model = trained
    store = open_features(sections.features)
    write_features(tmp_path / "other.pkl", dict(store), {"backbone": "vgg16", "layer": "grid"})
    with pytest.raises(DataError, match=r"other\.pkl: comes from another encoder than this run \(layer: .*grid.*pool"):
        require_same_encoder(model, open_features(tmp_path / "other.pkl"))
