"""Kernels whose gradient comes after the loop: it is the one that the ordinary products give."""

import numpy as np
import pytest

from captioner.models.late_gradients import LateProduct
from captioner.models.layout import Layout
from tests.models.cases import CASES
from tests.models.gradients import gradients
from tests.speed import slow_but

tensorflow = pytest.importorskip("tensorflow")

LOOPS = [name for name in CASES if name.startswith("attention-")]


@pytest.mark.parametrize("case", slow_but(LOOPS, "attention-on-attention-lstm"))
def test_gradients_are_those_of_ordinary_products(case, monkeypatch):
    late = gradients(case)
    with monkeypatch.context() as patch:
        patch.setattr(LateProduct, "_divide_gradients", lambda product, kernel: None)
        ordinary = gradients(case)
    assert len(late) > 10
    for found, expected in zip(late, ordinary, strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


def test_words_that_are_not_there_have_no_part_in_a_kernel_s_gradient():
    lengths, time, units = [3, 1, 2], 3, 2
    places = np.array([row * time + step for row, length in enumerate(lengths) for step in range(length)], "int32")
    longest = Layout(tensorflow.constant(places), 1, 3, time).longest_first()
    rng = np.random.default_rng(0)
    kernel = tensorflow.constant(rng.normal(size=(4, units)).astype("float32"))
    inputs = rng.normal(size=(time, 3, 4)).astype("float32")
    upstream = rng.normal(size=(time, 3, units)).astype("float32")
    with tensorflow.GradientTape() as tape:
        tape.watch(kernel)
        product = LateProduct(kernel, longest)
        found = tensorflow.stack([product.added_to(product.room[step], inputs[step]) for step in range(time)])
        product.end(tensorflow.constant(inputs))
        loss = tensorflow.reduce_sum(found * upstream)
    np.testing.assert_allclose(found, inputs @ kernel.numpy(), atol=1e-6)
    by_length = sorted(lengths, reverse=True)
    real = [(step, row) for row, length in enumerate(by_length) for step in range(length)]
    expected = sum(np.outer(inputs[place], upstream[place]) for place in real)
    np.testing.assert_allclose(tape.gradient(loss, kernel), expected, atol=1e-5)
