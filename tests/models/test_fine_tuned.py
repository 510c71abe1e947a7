"""A decoder with the encoder's upper layers before it keeps the decoder contract, and trains them."""

import keras
import numpy as np
import pytest
from keras import ops, tree

from captioner.models.architectures import build_decoder
from captioner.models.fine_tuned import AT_ONCE, FineTunedDecoder, MeanRegion
from captioner.training.config import TrainConfig
from captioner.training.losses import CaptionLoss
from captioner.training.optimizers import make_optimizer

WORDS = 11


@pytest.fixture
def decoder():
    keras.utils.set_random_seed(0)
    grid = keras.Input((2, 3, 4))  # (batch, rows, columns, channels)
    tail = keras.Model(grid, keras.layers.Conv2D(5, 3, 2, padding="same", activation="relu")(grid))  # (batch, 1, 2, 5)
    settings = {"architecture": "transformer", "embedding_size": 8, "heads": 2, "feedforward_units": 16, "layers": 1}
    settings |= {"dropout": 0.0, "word_dropout": 0.0}
    return FineTunedDecoder(build_decoder(settings, WORDS, (2, 5)), tail)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")


@pytest.fixture
def tokens():
    return np.random.default_rng(1).integers(1, WORDS, (3, 2, 7)).astype("int32")


def test_it_reads_the_inner_grid(decoder, features, tokens):
    assert decoder.feature_shape == (6, 4) and decoder.vocabulary_size == WORDS
    last = np.asarray(decoder.tail(features.reshape(3, 2, 3, 4))).reshape(3, 2, 5)
    np.testing.assert_allclose(decoder((features, tokens)), decoder.decoder((last, tokens)), atol=1e-6)


def test_stepping_equals_teacher_forcing(decoder, features, tokens):
    whole = ops.convert_to_numpy(decoder((features, tokens)))
    memory = decoder.encode(features)
    state = tree.map_structure(lambda leaf: ops.repeat(leaf, 2, axis=0), decoder.initial_state(memory, 7))
    flat = tokens.reshape(-1, 7)
    for position in range(7):
        row, state, attention = decoder.step(flat[:, position], ops.convert_to_tensor(position), state, memory)
        np.testing.assert_allclose(row, whole.reshape(6, 7, WORDS)[:, position], atol=1e-5)
    assert attention.shape == (6, 2)


def test_the_tail_travels_in_the_file(decoder, features, tokens, tmp_path):
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    assert isinstance(loaded, FineTunedDecoder)
    np.testing.assert_array_equal(loaded((features, tokens)), decoder((features, tokens)))


def moved(decoder, features, tokens, rate):
    """Return how far one step moves the tail and the decoder."""
    before = [weight.numpy() for weight in (decoder.tail.weights[0], decoder.decoder.weights[0])]
    config = TrainConfig(optimizer="sgd", learning_rate=0.1, clip_norm=None, encoder_rate=rate)
    decoder.compile(make_optimizer(config, 1, decoder.tail.trainable_variables), CaptionLoss(), jit_compile=False)
    positions = np.arange(42, dtype="int32")
    decoder.train_on_batch((features, tokens, positions), positions % WORDS)
    after = [weight.numpy() for weight in (decoder.tail.weights[0], decoder.decoder.weights[0])]
    steps = [new - old for old, new in zip(before, after, strict=True)]
    for weight, old in zip((decoder.tail.weights[0], decoder.decoder.weights[0]), before, strict=True):
        weight.assign(old)
    return steps


def test_the_tail_learns_at_its_own_rate(decoder, features, tokens):
    weights = decoder.get_weights()
    fast_tail, fast = moved(decoder, features, tokens, 1.0)
    decoder.set_weights(weights)
    slow_tail, slow = moved(decoder, features, tokens, 0.25)
    assert np.abs(fast_tail).max() > 0
    np.testing.assert_allclose(slow_tail, fast_tail / 4, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(slow, fast, rtol=1e-3, atol=1e-7)


def test_a_pictures_vector_is_the_mean_region_of_the_last_grid(decoder):
    features = np.random.default_rng(2).normal(size=(AT_ONCE + 5, 6, 4)).astype("float32")
    last = np.asarray(decoder.tail(features.reshape(-1, 2, 3, 4)))  # (pictures, 1, 2, 5)
    found = MeanRegion(decoder).of(features)
    np.testing.assert_allclose(found, last.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(MeanRegion(decoder).of(features[7:8]), found[7:8], atol=1e-6)
