"""Measures the machine's arithmetic limit, and makes data of realistic sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

WORDS, CHANNELS, LONGEST = 7579, 4096, 34  # the tutorial's vocabulary, fc2, the longest caption


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call; the first call is not counted."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def gemm_rate(dtype: str = "float32") -> float:
    """Return the floating-point operations per second of a large matrix product: the machine's arithmetic limit."""
    rng = np.random.default_rng(0)
    a = ops.cast(rng.normal(size=(4096, 2048)).astype("float32"), dtype)
    b = ops.cast(rng.normal(size=(2048, 4096)).astype("float32"), dtype)
    elapsed = seconds(lambda: np.asarray(ops.cast(ops.matmul(a, b)[0, 0], "float32")), 7)
    return 2 * 4096 * 2048 * 4096 / elapsed


class Speed(NamedTuple):
    """The speed of some work and its share of the arithmetic limit: medians of several turns.

    Attributes:
        rate: pieces of work per second.
        share: of the limit measured right before and after the work.
    """

    rate: float
    share: float

    @property
    def limit(self) -> float:
        """The arithmetic limit in pieces of work per second."""
        return self.rate / self.share


def beside_the_limit(
    work: Callable[[], object], pieces: int, operations: float, dtype: str = "float32", turns: int = 5
) -> Speed:
    """Measure work and the machine's limit in turn; the first turn is not counted.

    Other processes slow down both, so the limit is measured right before and after the work.

    Args:
        work: the function to time.
        pieces: the number of pieces in the work, such as captions.
        operations: the floating-point operations of a piece's matrix products.
        dtype: the type of the numbers in the products.
        turns: the number of measurements of both.
    """
    work()
    rates, shares, before = [], [], gemm_rate(dtype)
    for _ in range(turns):
        began = time.perf_counter()
        work()
        rate = pieces / (time.perf_counter() - began)
        after = gemm_rate(dtype)
        rates.append(rate)
        shares.append(rate * operations / ((before + after) / 2))
        before = after
    return Speed(float(np.median(rates)), float(np.median(shares)))


def product_operations(function: Callable[..., object], *arguments: object) -> float:
    """Return the floating-point operations of the matrix products in a call, two per multiply-add."""
    if keras.backend.backend() == "jax":
        import jax

        return sum(map(_jax_operations, _equations(jax.make_jaxpr(function)(*arguments).jaxpr)))
    import tensorflow

    graph = tensorflow.function(function, autograph=False).get_concrete_function(*arguments).graph
    return sum(map(_tensorflow_operations, graph.get_operations()))


def _tensorflow_operations(operation: Any) -> float:
    if operation.type not in ("MatMul", "BatchMatMulV2", "Einsum"):
        return 0.0
    left, right = (tensor.shape.as_list() for tensor in operation.inputs)
    out = operation.outputs[0].shape.as_list()
    if operation.type == "Einsum":
        terms = operation.get_attr("equation").decode().split("->")[0].split(",")
        sizes = dict(zip("".join(terms), [*left, *right], strict=True))
        return 2.0 * math.prod(sizes.values())
    transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return 2.0 * math.prod(out) * left[-2 if transposed else -1]


def _jax_operations(equation: Any) -> float:
    if equation.primitive.name != "dot_general":
        return 0.0
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in equation.params.values():
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


def made_up_captions(pictures: int, words: int = WORDS, seed: int = 0) -> list[list[list[int]]]:
    """Return five captions per picture with lengths like Flickr8k's: mean 10.8 words, standard deviation 3.8."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(np.rint(rng.gamma(8.1, 10.8 / 8.1, size=(pictures, 5))), 3, LONGEST - 2).astype(int)
    return [[[1, *rng.integers(4, words, n).tolist(), 2] for n in row] for row in lengths]


class Rows:
    """Features of pictures whose image_ids are row numbers."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        return self.rows[[int(image_id) for image_id in ids]]


def device() -> str:
    """Return the device and backend on one line."""
    return f"{', '.join(keras.distribution.list_devices())}, backend {keras.backend.backend()}"
