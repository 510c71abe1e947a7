import numpy as np
import pytest

from captioner.numpy_rnn.layers import (
    affine_backward,
    affine_forward,
    embedding_backward,
    embedding_forward,
    temporal_softmax_loss,
)
from tests.numpy_rnn.numeric import numeric_gradient, relative_error


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize("leading", [(3,), (3, 4)])
def test_affine_gradients(generator, leading):
    x, w, b = generator.normal(size=(*leading, 5)), generator.normal(size=(5, 2)), generator.normal(size=2)
    dy = generator.normal(size=(*leading, 2))
    y, cache = affine_forward(x, w, b)
    assert y.shape == (*leading, 2)
    for array, gradient in zip((x, w, b), affine_backward(dy, cache), strict=True):
        numeric = numeric_gradient(lambda: affine_forward(x, w, b)[0], array, dy)
        assert relative_error(gradient, numeric) < 1e-6


def test_affine_of_no_rows(generator):
    w, b = generator.normal(size=(5, 2)), generator.normal(size=2)
    y, cache = affine_forward(np.zeros((0, 3, 5)), w, b)
    assert y.shape == (0, 3, 2)
    dx, dw, db = affine_backward(y, cache)
    assert dx.shape == (0, 3, 5) and not dw.any() and not db.any()


def test_embedding_gradient_adds_up_over_a_repeated_word(generator):
    tokens, w = np.array([[1, 3, 1], [1, 0, 0]]), generator.normal(size=(5, 4))
    x, cache = embedding_forward(tokens, w)
    np.testing.assert_array_equal(x[0, 1], w[3])
    dx = generator.normal(size=x.shape)
    numeric = numeric_gradient(lambda: embedding_forward(tokens, w)[0], w, dx)
    assert relative_error(embedding_backward(dx, cache), numeric) < 1e-6


def test_softmax_loss_gradient(generator):
    logits, targets = generator.normal(size=(3, 4, 6)), generator.integers(0, 6, size=(3, 4))
    mask = generator.random((3, 4)) < 0.6
    _, dlogits = temporal_softmax_loss(logits, targets, mask)
    numeric = numeric_gradient(lambda: temporal_softmax_loss(logits, targets, mask)[0], logits)
    assert relative_error(dlogits, numeric) < 1e-6


def test_softmax_loss_of_equal_logits_is_the_logarithm_of_the_vocabulary():
    loss, _ = temporal_softmax_loss(np.zeros((2, 3, 7)), np.ones((2, 3), int), np.ones((2, 3), bool))
    assert loss == pytest.approx(np.log(7))


def test_padding_changes_neither_loss_nor_gradient(generator):
    logits, targets = generator.normal(size=(2, 3, 5)), generator.integers(1, 5, size=(2, 3))
    loss, dlogits = temporal_softmax_loss(logits, targets, np.ones((2, 3), bool))
    longer = np.concatenate([logits, generator.normal(size=(2, 2, 5))], axis=1)
    padded = np.pad(targets, ((0, 0), (0, 2)))
    padded_loss, padded_gradient = temporal_softmax_loss(longer, padded, padded != 0)
    assert padded_loss == pytest.approx(loss)
    np.testing.assert_allclose(padded_gradient[:, :3], dlogits)
    assert not padded_gradient[:, 3:].any()


def test_softmax_loss_survives_huge_logits_and_no_words():
    logits = np.array([[[1e4, 0.0, -1e4]]])
    assert temporal_softmax_loss(logits, np.array([[0]]), np.array([[True]]))[0] == 0
    loss, dlogits = temporal_softmax_loss(logits, np.array([[0]]), np.array([[False]]))
    assert loss == 0 and not dlogits.any()
