import keras
import numpy as np
import pytest
from keras import ops

from captioner.training.scheduled_sampling import RisingShare, ScheduledSampling
from tests.models.cases import CASES, WORDS, make

START = 1


@pytest.fixture
def model():
    return ScheduledSampling(make("merge-lstm-add"), seed=3)


@pytest.fixture
def tokens():
    """Two pictures with two captions; one of them ends early."""
    tokens = np.random.default_rng(0).integers(4, WORDS, (2, 2, 6)).astype("int32")
    tokens[..., 0] = START
    tokens[0, 1, 4:] = 0
    return tokens


def certain(words):
    """Logits that leave no choice."""
    return 50.0 * np.eye(WORDS, dtype="float32")[words]


def test_all_own_words_are_what_was_predicted_one_place_before(model, tokens):
    model.share.assign(1.0)
    positions = np.flatnonzero(tokens).astype("int32")
    predicted = np.random.default_rng(1).integers(4, WORDS, len(positions))
    mixed = ops.convert_to_numpy(model.mixed(tokens, positions, certain(predicted)))
    laid_out = np.zeros(tokens.size, int)
    laid_out[positions] = predicted
    expected = tokens.copy()
    for place in np.argwhere(tokens):
        picture, caption, time = place
        if time:
            expected[picture, caption, time] = laid_out.reshape(tokens.shape)[picture, caption, time - 1]
    np.testing.assert_array_equal(mixed, expected)
    assert np.all(mixed[..., 0] == START)
    assert np.all((mixed == 0) == (tokens == 0))


def test_no_share_changes_nothing(model, tokens):
    positions = np.flatnonzero(tokens).astype("int32")
    logits = certain(np.full(len(positions), 5))
    np.testing.assert_array_equal(model.mixed(tokens, positions, logits), tokens)


def test_half_a_share_replaces_about_half(model):
    model.share.assign(0.5)
    tokens = np.full((40, 2, 11), 4, "int32")
    tokens[..., 0] = START
    positions = np.arange(tokens.size, dtype="int32")
    mixed = ops.convert_to_numpy(model.mixed(tokens, positions, certain(np.full(len(positions), 5))))
    assert 0.4 < (mixed[..., 1:] == 5).mean() < 0.6


def test_without_training_it_is_the_decoder(model, tokens):
    model.share.assign(1.0)
    features = np.ones((2, *CASES["merge-lstm-add"][1]), "float32")
    positions = np.flatnonzero(tokens).astype("int32")
    np.testing.assert_array_equal(
        model((features, tokens, positions)), model.decoder((features, tokens, positions), training=False)
    )


def test_training_moves_the_decoder(model, tokens):
    before = [weight.numpy().copy() for weight in model.decoder.trainable_weights]
    model.share.assign(0.5)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    positions = np.flatnonzero(tokens).astype("int32")
    features = np.ones((2, *CASES["merge-lstm-add"][1]), "float32")
    model.train_on_batch((features, tokens, positions), positions % WORDS)
    assert any(np.abs(a - b.numpy()).max() > 0 for a, b in zip(before, model.decoder.trainable_weights, strict=True))


@pytest.mark.parametrize("expected", [[0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 0.4], [0.0]])
def test_the_share_rises_from_nothing_to_the_highest(model, expected):
    rising = RisingShare(model, 0.4, epochs=len(expected))
    shares = []
    for epoch in range(len(expected)):
        rising.on_epoch_begin(epoch)
        shares.append(float(model.share.numpy()))
    np.testing.assert_allclose(shares, expected, atol=1e-7)


def test_it_can_be_saved_and_loaded(model, tokens, tmp_path):
    features = np.ones((2, *CASES["merge-lstm-add"][1]), "float32")
    positions = np.flatnonzero(tokens).astype("int32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded((features, tokens, positions)), model((features, tokens, positions)))
