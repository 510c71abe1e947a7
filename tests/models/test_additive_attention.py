"""Additive attention: its scores are v . tanh(W a + U h), and its own gradient is that of ordinary operations."""

import keras
import numpy as np
import pytest
from keras import ops

from captioner.models import adaptive, attention
from captioner.models.additive_attention import additive_scores
from tests.models.cases import CASES


def numbers(width=6):
    """Return keys of 2 pictures with 4 regions, 3 queries each, the score's weights, and an upstream gradient."""
    rng = np.random.default_rng(0)
    shapes = ((2, 4, width), (2, 3, width), (width,), (2, 4, 3))
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("training", [False, True])
def test_a_score_is_v_times_tanh_of_key_and_query(training):
    keys, queries, score, _ = numbers()
    found = ops.convert_to_numpy(additive_scores(*map(ops.convert_to_tensor, (keys, queries, score)), training))
    for picture, region, query in np.ndindex(2, 4, 3):
        expected = score @ np.tanh(keys[picture, region] + queries[picture, query])
        assert found[picture, region, query] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_gradient_is_that_of_ordinary_operations(precision):
    tensorflow = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has a gradient of its own")

    def gradients(training, precision):
        *inputs, upstream = (tensorflow.cast(x, precision) for x in numbers())
        with tensorflow.GradientTape() as tape:
            tape.watch(inputs)
            scores = additive_scores(*inputs, training)
        return [tensorflow.cast(x, "float32").numpy() for x in tape.gradient(scores, inputs, upstream)]

    exact = gradients(training=False, precision="float32")
    found = gradients(training=True, precision=precision)
    assert [x.shape for x in found] == [(2, 4, 6), (2, 3, 6), (6,)]
    for ours, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5 if precision == "float32" else 0.06)


@pytest.mark.slow
@pytest.mark.parametrize("module", [attention, adaptive])
def test_a_decoder_gets_the_same_gradients_from_it(module, monkeypatch):
    pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has a gradient of its own")
    from tests.models.gradients import gradients

    case = next(name for name in CASES if name.startswith(module.__name__.rsplit(".", 1)[-1]))
    found = gradients(case)
    with monkeypatch.context() as patch:
        patch.setattr(
            module, "additive_scores", lambda keys, queries, score, training: additive_scores(keys, queries, score)
        )
        expected = gradients(case)
    for ours, ordinary in zip(found, expected, strict=True):
        assert np.abs(ordinary).max() > 0
        np.testing.assert_allclose(ours, ordinary, atol=1e-5 * max(1.0, np.abs(ordinary).max()))
