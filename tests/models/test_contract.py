"""What every architecture, with every cell, must show of the decoder contract. The rows are in cases.py."""

import keras
import numpy as np
import pytest
from keras import ops, tree

from captioner.generation.config import GenerationConfig
from captioner.generation.greedy import GreedySearch
from captioner.models.config import ARCHITECTURES
from tests.models.cases import CASES, DEFAULT, WORDS, make
from tests.models.gpt2 import small_gpt2


@pytest.fixture(params=[pytest.param(name, marks=() if name in DEFAULT else pytest.mark.slow) for name in CASES])
def case(request):
    return request.param


@pytest.fixture
def decoder(case):
    return make(case)


@pytest.fixture
def features(case):
    return np.random.default_rng(0).normal(size=(3, *CASES[case][1])).astype("float32")


@pytest.fixture
def tokens():
    return np.random.default_rng(1).integers(1, WORDS, (3, 2, 7)).astype("int32")  # (pictures, captions, time)


def step_through(decoder, features, tokens):
    """Return the logits (hypotheses, time, words) of captions read word by word, a picture's captions as its beams."""
    memory = decoder.encode(features)
    captions = tokens.shape[1]
    state = tree.map_structure(lambda leaf: ops.repeat(leaf, captions, axis=0), decoder.initial_state(memory, 7))
    flat = tokens.reshape(-1, tokens.shape[-1])
    logits = []
    for position in range(flat.shape[1]):
        row, state, _ = decoder.step(flat[:, position], ops.convert_to_tensor(position), state, memory)
        logits.append(ops.convert_to_numpy(row))
    return np.stack(logits, axis=1)


def test_stepping_equals_teacher_forcing(decoder, features, tokens):
    whole = ops.convert_to_numpy(decoder((features, tokens)))  # (pictures, captions, time, words)
    np.testing.assert_allclose(step_through(decoder, features, tokens), whole.reshape(6, 7, WORDS), atol=1e-5)


def test_stepping_in_bfloat16_stays_close(case, features, tokens):
    decoder = make(case, dtype="mixed_bfloat16")
    whole = ops.convert_to_numpy(ops.cast(decoder((features, tokens)), "float32"))
    np.testing.assert_allclose(
        np.asarray(step_through(decoder, features, tokens), "float32"), whole.reshape(6, 7, WORDS), atol=1e-1
    )


@pytest.mark.parametrize("case", CASES)
def test_a_step_remembers_the_words_before_in_bfloat16(case, features, tokens):
    decoder = make(case, dtype="mixed_bfloat16")
    # What is remembered is then far above the rounding; with more, what reads its own attention is chaotic.
    factor = 1.5 if case.startswith("attention-on-attention") else 3.0
    for weight in decoder.trainable_variables:
        weight.assign(factor * weight)
    whole = ops.convert_to_numpy(ops.cast(decoder((features, tokens)), "float32")).reshape(6, 7, WORDS)
    stepped = np.asarray(step_through(decoder, features, tokens), "float32")
    memory = decoder.encode(features)
    first = tree.map_structure(lambda leaf: ops.repeat(leaf, 2, axis=0), decoder.initial_state(memory, 7))
    last, _, _ = decoder.step(tokens.reshape(6, 7)[:, 6], ops.convert_to_tensor(6), first, memory)
    forgotten = np.abs(ops.convert_to_numpy(ops.cast(last, "float32")) - whole[:, 6]).mean()
    assert np.abs(stepped[:, 6] - whole[:, 6]).mean() < forgotten / 4


def test_a_word_changes_no_earlier_logits(decoder, features, tokens):
    before = ops.convert_to_numpy(decoder((features, tokens)))
    changed = tokens.copy()
    changed[:, :, 4] = (changed[:, :, 4] + 1) % WORDS
    after = ops.convert_to_numpy(decoder((features, changed)))
    np.testing.assert_allclose(after[:, :, :4], before[:, :, :4], atol=1e-6)
    assert np.abs(after[:, :, 4:] - before[:, :, 4:]).max() > 1e-3


def test_padding_changes_nothing(decoder, features, tokens):
    padded = np.concatenate([tokens, np.zeros((3, 2, 4), "int32")], axis=-1)
    np.testing.assert_allclose(
        ops.convert_to_numpy(decoder((features, padded)))[:, :, :7],
        ops.convert_to_numpy(decoder((features, tokens))),
        atol=1e-6,
    )


def test_positions_pick_the_same_logits(decoder, features, tokens):
    for picture, caption, length in [(0, 0, 3), (0, 1, 1), (1, 1, 5), (2, 0, 6)]:
        tokens[picture, caption, length:] = 0
    positions = np.flatnonzero(tokens).astype("int32")
    free = np.flatnonzero(tokens == 0).astype("int32")[[0, -1]]
    whole = ops.convert_to_numpy(decoder((features, tokens))).reshape(-1, WORDS)
    at = ops.convert_to_numpy(decoder((features, tokens, np.concatenate([positions, free]))))
    np.testing.assert_allclose(at[: len(positions)], whole[positions], atol=1e-6)


def test_one_caption_a_picture(decoder, features, tokens):
    many = ops.convert_to_numpy(decoder((features, tokens)))
    np.testing.assert_allclose(decoder((features, tokens[:, 0])), many[:, 0], atol=1e-6)


def test_a_batch_equals_single_calls(decoder, features, tokens):
    batch = ops.convert_to_numpy(decoder((features, tokens)))
    for row in range(3):
        single = ops.convert_to_numpy(decoder((features[row : row + 1], tokens[row : row + 1])))
        np.testing.assert_allclose(single[0], batch[row], atol=1e-6)


def test_the_picture_matters(decoder, features, tokens):
    other = ops.convert_to_numpy(decoder((features[::-1].copy(), tokens)))
    assert np.abs(other[0] - ops.convert_to_numpy(decoder((features, tokens)))[0]).max() > 1e-3


def test_dropout_is_on_in_training_only(decoder, features, tokens):
    quiet = ops.convert_to_numpy(decoder((features, tokens)))
    np.testing.assert_array_equal(quiet, ops.convert_to_numpy(decoder((features, tokens))))
    assert np.abs(ops.convert_to_numpy(decoder((features, tokens), training=True)) - quiet).max() > 1e-3


def test_save_and_load(decoder, features, tokens, tmp_path):
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    np.testing.assert_array_equal(loaded((features, tokens)), decoder((features, tokens)))


def test_training_moves_every_weight(decoder, features, tokens):
    before = [weight.numpy() for weight in decoder.trainable_weights]
    decoder.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    positions = np.arange(42, dtype="int32")
    decoder.train_on_batch((features, tokens, positions), np.arange(42, dtype="int32") % WORDS)
    for weight, old in zip(decoder.trainable_weights, before, strict=True):
        assert np.abs(weight.numpy() - old).max() > 0, weight.path


@pytest.mark.slow
def test_memorises_a_few_pictures(case):
    rng = np.random.default_rng(0)
    settings = {"feature_dropout": 0.0}
    if "prefix" in case:
        settings["language_model"] = small_gpt2(27, 32, 0.0)
    else:
        settings |= {"embedding_size": 32, "word_dropout": 0.0}
        settings |= {"dropout": 0.0} if "transformer" in case else {"units": 64, "recurrent_dropout": 0.0}
        settings |= {"layer_dropout": 0.0} if "deep" in case else {}
    decoder = make(case, settings=settings, words=30)
    features = rng.normal(size=(8, *CASES[case][1])).astype("float32")
    tokens = np.concatenate([np.ones((8, 1), "int32"), rng.integers(4, 30, (8, 6)), np.full((8, 1), 2)], axis=1)
    tokens = tokens.astype("int32")
    decoder.compile(
        keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    repeated = np.tile(features, (200, *[1] * (features.ndim - 1))), np.tile(tokens, (200, 1))
    decoder.fit((repeated[0], repeated[1][:, :-1]), repeated[1][:, 1:], batch_size=8, shuffle=False, verbose=0)
    loss = decoder.evaluate((features, tokens[:, :-1]), tokens[:, 1:], verbose=0)
    assert loss < 0.05
    captions = GreedySearch(decoder, GenerationConfig(beam_size=1, max_length=7)).predict(features, verbose=0)
    reproduced = (ops.convert_to_numpy(captions["tokens"])[:, 0] == tokens[:, 1:]).all(axis=1)
    assert reproduced.sum() >= 7


def test_every_architecture_has_a_case_with_its_default_cell():
    assert {CASES[name][0]["architecture"] for name in DEFAULT} == set(ARCHITECTURES)
