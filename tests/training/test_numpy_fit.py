from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

import captioner
from captioner.config import ConfigError
from captioner.data.batches import make_batch
from captioner.features.store import open_features
from captioner.models.architectures import build_decoder
from captioner.numpy_rnn.layers import affine_forward, embedding_forward
from captioner.numpy_rnn.sequence import sequence_forward
from captioner.stages.train import train
from captioner.training.config import TrainConfig
from captioner.training.numpy_fit import Twin, require_plain
from tests.interrupts import kept_at
from tests.speed import slow
from tests.training.project import make_project

PLAIN = {"architecture": "init-inject", "units": 16, "embedding_size": 12, "feature_dropout": 0.0, "word_dropout": 0.0}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    return folder, make_project(folder)


def fit_to(folder, sections, model=None, *, resume=False, **changes):
    model = {**PLAIN, **(model or {})}
    sections = replace(sections, model=model, train=replace(sections.train, **changes))
    return train(folder, sections, resume=resume)


def numbers_of(progress):
    return np.array([[value for name, value in row.items() if name != "seconds"] for row in progress.history])


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings, tolerance",
    [
        slow({"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.05, "clip_norm": 0.5}, 1e-3),
        # Adam makes whole steps out of gradients that are only rounding, and Keras adds its epsilon elsewhere (Kingma
        # and Ba 2015, end of section 2).
        ({"optimizer": "adam", "clip_norm": 0.5}, 0.02),
    ],
    ids=["sgd", "adam"],
)
def test_learns_as_keras_does(project, settings, tolerance):
    folder, sections = project
    name = settings["optimizer"]
    ours, theirs = (
        fit_to(folder / f"{engine}_{name}", sections, {"normalize": True}, engine=engine, epochs=2, **settings)
        for engine in ("numpy", "keras")
    )
    for one, other in zip(ours.history, theirs.history, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], abs=tolerance)
    assert ours.history[1]["val_loss"] < ours.history[0]["val_loss"] - 0.02


@pytest.mark.parametrize(
    "settings", [slow({"optimizer": "sgd", "momentum": 0.9}), {"optimizer": "adam"}], ids=["sgd", "adam"]
)
def test_a_resumed_run_equals_an_uninterrupted_one(project, tmp_path, settings):
    _, sections = project
    with kept_at("epoch 2/", tmp_path / "whole", tmp_path / "cut"):
        whole = fit_to(tmp_path / "whole", sections, engine="numpy", epochs=4, **settings)
    resumed = fit_to(tmp_path / "cut", sections, engine="numpy", epochs=4, resume=True, **settings)
    np.testing.assert_array_equal(numbers_of(resumed), numbers_of(whole))
    one, other = (captioner.load(tmp_path / name).decoder.get_weights() for name in ("whole", "cut"))
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_decoder_gets_what_the_twin_has_learned(cell):
    keras.utils.set_random_seed(0)
    decoder = build_decoder({**PLAIN, "cell": cell}, 9, (6,))
    twin = Twin(decoder, TrainConfig(learning_rate=0.05))
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 6)).astype("float32")
    batch = make_batch(features, [[[1, 4, 5, 2], [1, 6, 2]], [[1, 7, 8, 4, 2]], [[1, 5, 2]]])
    losses = [twin.learn(batch) for _ in range(12)]
    assert losses[-1] < losses[0] / 2
    twin.keep()
    w = twin.model.weights
    h0, _ = affine_forward(features, w["picture_w"], w["picture_b"])
    tokens = batch.tokens[:, 0]
    words, _ = embedding_forward(tokens, w["embedding"])
    hidden, _ = sequence_forward(words, h0, twin.model._cell_weights(), twin.model.cell)
    expected, _ = affine_forward(hidden, w["vocabulary_w"], w["vocabulary_b"])
    np.testing.assert_allclose(ops.convert_to_numpy(decoder((features, tokens))), expected, atol=1e-5)


@pytest.mark.slow
def test_the_run_folder_captions(project):
    folder, sections = project
    fit_to(folder / "captions", sections, engine="numpy", epochs=6, learning_rate=0.02)
    loaded = captioner.load(folder / "captions")
    vector = open_features(sections.features)["p47"]
    assert loaded.caption_features(vector[None])[0][0].text.split()[0] in ("a", "there")


@pytest.mark.parametrize(
    "model, changes, words",
    [
        ({"architecture": "merge"}, {}, "model.architecture: train.engine numpy trains init-inject only, found merge"),
        ({**PLAIN, "word_dropout": 0.5}, {}, "model.word_dropout: train.engine numpy needs 0.0, found 0.5"),
        ({**PLAIN, "layers": 2}, {}, "model.layers: train.engine numpy needs 1, found 2"),
        (PLAIN, {"ema": 0.9}, "train.ema: train.engine numpy needs null, found 0.9"),
        (PLAIN, {"precision": "bfloat16"}, "train.precision: train.engine numpy needs float32, found bfloat16"),
        *[
            (PLAIN, {"optimizer": name}, f"train.optimizer: train.engine numpy has adam and sgd, found {name}")
            for name in ("adamw", "rmsprop", "nadam", "lion")
        ],
    ],
)
def test_what_the_network_in_numpy_does_not_have_is_refused(model, changes, words):
    with pytest.raises(ConfigError, match=words):
        require_plain(model, TrainConfig(engine="numpy", **changes))


def test_a_run_of_what_it_does_not_have_leaves_nothing(project, tmp_path):
    _, sections = project
    with pytest.raises(ConfigError, match="label_smoothing"):
        fit_to(tmp_path / "run", sections, engine="numpy", label_smoothing=0.1)
    assert not (tmp_path / "run").exists()


def test_settings_that_are_not_of_the_network_are_free():
    require_plain(PLAIN, TrainConfig(engine="numpy", keep_captions=False))
