"""Training that sees more of the pictures: several views of them, and encoder layers that learn with the decoder."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import captioner
from captioner.config import ConfigError
from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import build_encoder
from captioner.extraction.config import ExtractionConfig
from captioner.features.store import open_features, write_features
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.stages.extract import extract
from captioner.stages.train import train
from captioner.storage import DataError
from captioner.training.config import TrainConfig
from tests.messages import listening
from tests.training.project import make_project


@pytest.fixture
def sections(tmp_path):
    return make_project(tmp_path)


def write_view(folder, sections, **changes):
    store = open_features(sections.features)
    features = {image_id: store[image_id][::-1].copy() for image_id in changes.pop("ids", store)}
    write_features(folder / "flip.pkl", features, {"backbone": "vgg16", "layer": "pool", "view": "flip", **changes})
    return replace(sections, train=replace(sections.train, epochs=2, views=(str(folder / "flip.pkl"),)))


@pytest.mark.slow
def test_views_are_drawn_in_training(sections, tmp_path):
    plain = train(tmp_path / "plain", replace(sections, train=replace(sections.train, epochs=2)))
    views = train(tmp_path / "views", write_view(tmp_path, sections))
    assert views.history[0]["loss"] != pytest.approx(plain.history[0]["loss"], abs=1e-4)
    again = train(tmp_path / "again", write_view(tmp_path, sections))
    assert again.history[1]["loss"] == pytest.approx(views.history[1]["loss"], abs=1e-5)


def test_views_of_another_encoder_or_of_other_pictures_are_refused(sections, tmp_path):
    with pytest.raises(DataError, match=r"flip.pkl: comes from another encoder than .* \(layer: grid against pool\)"):
        train(tmp_path / "run", write_view(tmp_path, sections, layer="grid"))
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"flip.pkl: lacks 38 training pictures \(first: p2\)"):
        train(tmp_path / "run", write_view(tmp_path / "other", sections, ids=["p0", "p1"]))


@pytest.fixture
def inner(sections, tmp_path):
    """The sections with features of an inner grid, and an encoder whose last layers are trained."""
    encoder = EncoderConfig("efficientnet_lite0", "block14_add", "random", trained_to="grid")
    description = build_encoder(replace(encoder, trained_to=None)).description
    store = open_features(sections.features)
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(10, 192))
    grids = {name: np.float32(store[name] @ mixing + 0.1 * rng.normal(size=(49, 192))) for name in store}
    write_features(tmp_path / "inner.h5", grids, description, "float16")
    model = {"architecture": "transformer", "embedding_size": 16, "heads": 2, "feedforward_units": 32, "layers": 1}
    settings = replace(sections.train, epochs=2, learning_rate=3e-3)
    return replace(sections, features=str(tmp_path / "inner.h5"), encoder=encoder, model=model, train=settings)


@pytest.mark.slow
def test_the_encoders_last_layers_learn_and_travel_in_the_file(inner, tmp_path):
    train(tmp_path / "run", inner)
    loaded = captioner.load(tmp_path / "run")
    assert isinstance(loaded.decoder, FineTunedDecoder)
    fresh = captioner.load(tmp_path / "run").decoder.tail.get_weights()
    frozen = replace(inner, train=replace(inner.train, encoder_rate=0.0))
    lines = []
    with listening(lines.append):
        train(tmp_path / "frozen", frozen)
    assert any("the encoder layers stay fixed; computing their output for 48 pictures once" in line for line in lines)
    kept = captioner.load(tmp_path / "frozen").decoder.tail.get_weights()
    assert max(np.abs(a - b).max() for a, b in zip(fresh, kept, strict=True)) > 1e-4
    features = open_features(inner.features).gather(["p40", "p41"])
    assert [caption[0].text for caption in loaded.caption_features(features)]

    begun = replace(inner, train=replace(inner.train, epochs=1, begin_from=str(tmp_path / "run"), encoder_rate=0.0))
    train(tmp_path / "further", begun)
    further = captioner.load(tmp_path / "further").decoder.tail.get_weights()
    for one, other in zip(further, fresh, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_views_through_layers_that_stay_as_they_are_equal_those_layers_computed_each_time(inner, tmp_path):
    inner = write_view(tmp_path, inner, **(open_features(inner.features).description or {}))
    rates = dict.fromkeys(("feature_dropout", "word_dropout", "output_dropout", "dropout"), 0.0)
    losses = []
    for rate in (0.0, 1e-12):
        settings = replace(inner.train, encoder_rate=rate, epochs=2)
        state = train(tmp_path / f"run{rate}", replace(inner, model={**inner.model, **rates}, train=settings))
        losses.append([row["loss"] for row in state.history])
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)  # the grids are kept in float16


@pytest.fixture
def pictured(tmp_path):
    """The sections of a data set whose pictures are there, with an encoder of a moment's work."""
    sections = make_project(tmp_path)
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for name in open_features(sections.features):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / f"{name}.png")
    encoder = EncoderConfig("tiny", "pool", "random")
    extract(folder, tmp_path / "small.pkl", encoder, ExtractionConfig(precision="float32"))
    return replace(
        sections,
        data=replace(sections.data, images=str(folder)),
        features=str(tmp_path / "small.pkl"),
        encoder=encoder,
        train=replace(sections.train, epochs=2, augment=("crop", "flip", "color")),
    )


@pytest.mark.slow
def test_changed_pictures_are_trained_on_and_a_resumed_run_sees_the_same(pictured, tmp_path):
    plain = train(tmp_path / "plain", replace(pictured, train=replace(pictured.train, augment=())))
    whole = train(tmp_path / "whole", pictured)
    assert whole.history[0]["loss"] != pytest.approx(plain.history[0]["loss"], abs=1e-4)
    train(tmp_path / "parts", replace(pictured, train=replace(pictured.train, epochs=1)))
    parts = train(tmp_path / "parts", pictured, resume=True)
    assert parts.history[1]["loss"] == pytest.approx(whole.history[1]["loss"], abs=1e-5)


@pytest.mark.slow
def test_changed_pictures_need_the_pictures(pictured, inner, tmp_path):
    with pytest.raises(ConfigError, match=r"train.augment: needs the pictures; name their folder in data.images"):
        train(tmp_path / "run", replace(pictured, data=replace(pictured.data, images=None)))
    (tmp_path / "images" / "p2.png").unlink()
    with pytest.raises(DataError, match=r"images: 1 of the 40 training pictures are missing \(first: p2\)"):
        train(tmp_path / "run", pictured)
    frozen = replace(inner.train, encoder_rate=0.0, augment=("flip",))
    with pytest.raises(ConfigError, match=r"train.augment: cannot be combined with train.encoder_rate 0"):
        train(tmp_path / "frozen", replace(inner, train=frozen, data=pictured.data))


def test_views_and_changes_exclude_each_other():
    with pytest.raises(ValueError, match="augment and views cannot be used together"):
        TrainConfig(augment=("flip",), views=("a.h5",))
