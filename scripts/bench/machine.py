"""What the machine can do, and data of the real sizes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

WORDS, CHANNELS, LONGEST = 7579, 4096, 34  # the tutorial's vocabulary with the specials, fc2, longest caption


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after one that is not counted."""
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


def made_up_captions(pictures: int, words: int = WORDS, seed: int = 0) -> list[list[list[int]]]:
    """Return five captions a picture with the lengths of Flickr8k's: 10.8 words on average, spread 3.8."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(np.rint(rng.gamma(8.1, 10.8 / 8.1, size=(pictures, 5))), 3, LONGEST - 2).astype(int)
    return [[[1, *rng.integers(4, words, n).tolist(), 2] for n in row] for row in lengths]


class Rows:
    """Features of pictures called by their row."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        return self.rows[[int(image_id) for image_id in ids]]


def device() -> str:
    """Return the device and backend on one line."""
    return f"{', '.join(keras.distribution.list_devices())}, backend {keras.backend.backend()}"
