import keras
import numpy as np
import pytest
from keras import ops, tree

from captioner.models.architectures import build_decoder
from captioner.models.attention import _unseen

REGIONS, CHANNELS, WORDS = 4, 8, 12


def make(**settings):
    keras.utils.set_random_seed(1)
    small = {"units": 24, "embedding_size": 16, "attention_units": 16, "feature_dropout": 0.0, "word_dropout": 0.0}
    return build_decoder({"architecture": "attention", **small, **settings}, WORDS, (REGIONS, CHANNELS))


def looked(decoder, features, tokens):
    """Return the attention (captions, time, regions) of captions read word by word."""
    memory = decoder.encode(features)
    state = decoder.initial_state(memory, tokens.shape[1])
    steps = []
    for position in range(tokens.shape[1]):
        _, state, attention = decoder.step(tokens[:, position], ops.convert_to_tensor(position), state, memory)
        steps.append(ops.convert_to_numpy(attention))
    return np.stack(steps, axis=1)


@pytest.mark.slow
def test_trained_attention_sums_to_one_and_moves():
    rng = np.random.default_rng(0)
    decoder = make()
    # Region r of a picture shows word r of its caption: it can only be told by looking there.
    words = rng.integers(4, WORDS, (512, REGIONS))
    features = (np.eye(CHANNELS)[words - 4] * np.sqrt(CHANNELS) + np.eye(CHANNELS)[:REGIONS]).astype("float32")
    tokens = np.concatenate([np.ones((512, 1), int), words[:, :-1]], axis=1).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    decoder.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    decoder.fit((features, tokens), words, epochs=30, batch_size=32, verbose=0)
    attention = looked(decoder, features[:16], tokens[:16])
    np.testing.assert_allclose(attention.sum(axis=-1), 1.0, atol=1e-5)
    assert np.abs(np.diff(attention, axis=1)).max() > 0.05
    assert decoder.evaluate((features, tokens), words, verbose=0) < 1.0  # blind guessing costs log 8 = 2.08


def test_the_state_changes_where_the_model_looks():
    decoder = make()
    features = np.random.default_rng(0).normal(size=(2, REGIONS, CHANNELS)).astype("float32")
    memory = decoder.encode(features)
    state = decoder.initial_state(memory, 5)
    other = tree.map_structure(lambda leaf: leaf + 3.0, state)
    token = np.array([1, 1], "int32")
    first, second = (
        ops.convert_to_numpy(decoder.step(token, ops.convert_to_tensor(0), at, memory)[2]) for at in (state, other)
    )
    assert np.abs(first - second).max() > 1e-3  # v . (tanh(W a) + tanh(U h)) would not move


def test_unseen_regions_cost_what_the_formula_says():
    attention = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.25, 0.75], [0.9, 0.1]]], "float32")  # (time, captions, regions)
    tokens = np.array([[1, 1], [5, 0]], "int32")  # the second caption has one word
    first = ((1 - 0.75) ** 2 + (1 - 1.25) ** 2) / 2
    second = ((1 - 1.0) ** 2 + (1 - 0.0) ** 2) / 2
    assert float(_unseen(attention, tokens)) == pytest.approx((first + second) / 2, abs=1e-6)


def test_the_penalty_is_part_of_the_training_loss_only():
    features = np.random.default_rng(0).normal(size=(2, REGIONS, CHANNELS)).astype("float32")
    tokens = np.array([[1, 5, 6], [1, 7, 0]], "int32")
    decoder = make(doubly_stochastic=1.0)
    decoder((features, tokens), training=True)
    assert len(decoder.losses) == 1
    decoder((features, tokens), training=False)
    assert not decoder.losses
