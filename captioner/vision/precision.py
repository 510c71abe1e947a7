"""Which precision an encoder runs faster in on this machine, without its features changing."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from captioner.vision.encoders import Encoder

PROBE_PICTURES = 8
LEAST_COSINE = 0.999


def faster(wide: Encoder, narrow: Encoder, pictures: np.ndarray, say: Callable[[str], None]) -> Encoder:
    """Return the faster of two encoders that differ in precision; `narrow` only if its features agree with `wide`'s.

    Whether bfloat16 pays depends on the network (a VGG16 doubles its speed with AVX-512, a MobileNet gets slower) and
    on the machine, so it is measured.

    Args:
        wide: in float32.
        narrow: the same encoder in bfloat16.
        pictures: (n, height, width, 3) uint8, real ones: the agreement is measured on them.
        say: takes a line with both speeds.
    """
    (wide_seconds, expected), (narrow_seconds, found) = _time(wide, pictures), _time(narrow, pictures)
    cosine = least_cosine(expected, found)
    agrees = cosine >= LEAST_COSINE
    rates = [f"{len(pictures) / seconds:.1f}" for seconds in (wide_seconds, narrow_seconds)]
    warning = "" if agrees else f", whose features differ (cosine {cosine:.4f})"
    say(f"pictures a second: {rates[0]} in float32, {rates[1]} in bfloat16{warning}")
    return narrow if agrees and narrow_seconds < wide_seconds else wide


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the least cosine between a picture's features in `a` and in `b`, both (pictures, ...)."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)  # (pictures, numbers)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.min((a * b).sum(axis=1) / np.maximum(norms, np.finfo(np.float32).tiny)))


def _time(encoder: Encoder, pictures: np.ndarray) -> tuple[float, np.ndarray]:
    features = encoder.encode(pictures)  # compiles
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        encoder.encode(pictures)
        seconds.append(time.perf_counter() - began)
    return min(seconds), features
