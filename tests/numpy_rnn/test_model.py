import numpy as np
import pytest

from captioner.numpy_rnn.cells import CELLS
from captioner.numpy_rnn.model import CaptioningRNN
from captioner.numpy_rnn.optimizers import NumpyAdam
from tests.numpy_rnn.numeric import numeric_gradient, relative_error

PAD, START, END = 0, 1, 2


def make_up(pictures, vocabulary, length, features=12, seed=0):
    """Pictures that are noise, and captions of 2 to `length` random words."""
    generator = np.random.default_rng(seed)
    captions = np.full((pictures, length + 2), PAD)
    for caption in captions:
        words = generator.integers(3, vocabulary, size=generator.integers(2, length + 1))
        caption[: len(words) + 2] = [START, *words, END]
    return generator.normal(size=(pictures, features)), captions


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_the_whole_model(cell):
    features, captions = make_up(pictures=2, vocabulary=7, length=3, features=4)
    model = CaptioningRNN(4, 7, cell=cell, embedding=3, units=4, dtype=np.float64)
    _, gradients = model.loss(features, captions)
    assert gradients.keys() == model.weights.keys()
    for name, array in model.weights.items():
        numeric = numeric_gradient(lambda: model.loss(features, captions)[0], array)
        assert relative_error(gradients[name], numeric) < 1e-6, name


@pytest.mark.parametrize("cell", CELLS)
def test_memorises_eight_pictures(cell):
    features, captions = make_up(pictures=8, vocabulary=20, length=6)
    model = CaptioningRNN(12, 20, cell=cell, embedding=16, units=32)
    optimizer = NumpyAdam(learning_rate=0.01)
    first, _ = model.loss(features, captions)
    for _ in range(200):
        loss, gradients = model.loss(features, captions)
        optimizer.update(model.weights, gradients)
    assert first > 2 and loss < 0.05
    expected = [[int(token) for token in caption if token > END] for caption in captions]
    assert model.decode(features, START, END, max_length=10) == expected
    # The picture decides: another picture's caption comes with another picture.
    assert model.decode(features[::-1], START, END, max_length=10) == expected[::-1]


@pytest.mark.slow
def test_the_same_seed_makes_the_same_model_in_float32():
    first, again, other = (CaptioningRNN(4, 7, seed=seed).weights for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["embedding"], other["embedding"])
    assert {array.dtype for array in first.values()} == {np.dtype(np.float32)}


def test_padding_changes_nothing():
    features, captions = make_up(pictures=3, vocabulary=9, length=4)
    model = CaptioningRNN(12, 9, dtype=np.float64)
    loss, gradients = model.loss(features, captions)
    padded_loss, padded = model.loss(features, np.pad(captions, ((0, 0), (0, 3))))
    assert padded_loss == pytest.approx(loss, abs=1e-12)
    for name in gradients:
        np.testing.assert_allclose(padded[name], gradients[name], atol=1e-12)


def test_decoding_never_says_padding_or_start_and_stops_at_the_limit():
    model = CaptioningRNN(12, 9)
    model.weights["vocabulary_b"][[PAD, START]] = 100
    model.weights["vocabulary_b"][END] = -100
    captions = model.decode(make_up(3, 9, 4)[0], START, END, max_length=5)
    assert [len(caption) for caption in captions] == [5, 5, 5]
    assert min(min(caption) for caption in captions) > END
    assert model.decode(np.zeros((2, 12)), START, END, max_length=0) == [[], []]


def test_an_unknown_cell_is_refused_by_name():
    with pytest.raises(ValueError, match="'qrnn' is unknown; known: rnn, lstm, gru"):
        CaptioningRNN(4, 7, cell="qrnn")
