"""The probe: measures the precision and the batch size with which an encoder is fastest on this machine."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from captioner.encoders.encoder import Encoder
from captioner.extraction.local_engine import AT_ONCE

PROBE_PICTURES = 8
LEAST_COSINE = 0.999
DEFAULT_BATCH_SIZE = 16
LARGEST_BATCH = 64  # on a CPU, where batches of this size use all cores
LARGEST_BATCH_ON_ACCELERATOR = 1024
WORTHWHILE = 1.03  # required speedup for twice the memory
WORTH_PROBING = 20.0  # seconds of work; for less, building the network again costs more than it can save
REPEATS = 2  # repetitions of a measurement, after a pass that compiles the network
PART_OF_RUN = 0.03  # share of the run that measuring batch sizes may take


@dataclass(frozen=True)
class Chosen:
    """The chosen precision and batch size, and the measurements of the probe.

    Attributes:
        precision: `float32` or `bfloat16`.
        batch_size: pictures per pass through the network.
        rates: pictures per second by precision, at the smallest batch size.
        cosine: the lowest cosine between the features of a probe picture in both precisions.
        batch_rates: pictures per second by batch size, in the chosen precision.
    """

    precision: str
    batch_size: int
    rates: dict[str, float] = field(default_factory=dict)
    cosine: float | None = None
    batch_rates: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the values for a manifest."""
        return {name: value for name, value in asdict(self).items() if value not in ({}, None)}

    def __str__(self) -> str:
        """Return measurements and choices on one line."""
        parts = []
        if self.rates:
            agreement = f" (cosine {self.cosine:.5f})" if self.cosine is not None else ""
            differ = ", but its features differ" if self.cosine is not None and self.cosine < LEAST_COSINE else ""
            seen = ", ".join(f"{precision} {rate:.1f}" for precision, rate in self.rates.items())
            parts.append(f"{seen}{agreement}{differ}: {self.precision}")
        if self.batch_rates:
            seen = ", ".join(f"{rate:.1f} with {size}" for size, rate in self.batch_rates.items())
            parts.append(f"{seen}: batches of {self.batch_size}")
        return f"probe, in pictures per second: {'; '.join(parts)}"


def choose(
    wide: Encoder, pictures: np.ndarray, expected: int, precision: str, batch_size: int | str, accelerated: bool
) -> tuple[Encoder, Chosen]:
    """Return the encoder in the faster precision, and the batch size with which it is fastest.

    Whether bfloat16 is faster depends on the network (VGG16 is twice as fast with AVX-512, a MobileNet is slower) and
    on the machine, so it is measured. It is used only if its features agree with float32's.

    Args:
        wide: the encoder in float32.
        pictures: (n, height, width, 3) uint8, real pictures, since the agreement is measured on them.
        expected: the number of pictures to encode; it limits the time of the probe.
        precision: `float32`, `bfloat16`, or `auto` to measure.
        batch_size: a number, or `auto` to measure.
        accelerated: whether the network runs on an accelerator.
    """
    encoder = wide if precision in ("auto", "float32") else wide.in_precision(precision)
    if precision != "auto" and batch_size != "auto":
        return encoder, Chosen(precision, int(batch_size))
    sample = _repeated(pictures, PROBE_PICTURES * (4 if accelerated else 1))
    seconds, features = _time(encoder, sample)
    rates, cosine = {encoder.description["precision"]: len(sample) / seconds}, None
    if precision == "auto" and expected * seconds / len(sample) >= WORTH_PROBING:
        narrow = wide.in_precision("bfloat16")
        narrow_seconds, narrow_features = _time(narrow, sample)
        rates["bfloat16"] = len(sample) / narrow_seconds
        cosine = min(map(least_cosine, features, narrow_features))
        if cosine >= LEAST_COSINE and narrow_seconds < seconds:
            encoder, seconds = narrow, narrow_seconds
    by_batch: dict[int, float] = {}
    if batch_size == "auto":
        by_batch = _rates_by_batch(encoder, pictures, len(sample), len(sample) / seconds, expected, accelerated)
    measured = len(by_batch) > 1
    size = max(by_batch, key=by_batch.__getitem__) if measured else DEFAULT_BATCH_SIZE
    return encoder, Chosen(
        encoder.description["precision"],
        size if batch_size == "auto" else int(batch_size),
        {name: round(rate, 1) for name, rate in rates.items()} if len(rates) > 1 else {},
        None if cosine is None else round(cosine, 6),
        {str(count): round(rate, 1) for count, rate in by_batch.items()} if measured else {},
    )


def _rates_by_batch(
    encoder: Encoder, pictures: np.ndarray, size: int, rate: float, expected: int, accelerated: bool
) -> dict[int, float]:
    """Return the pictures per second for batches of `size` (already measured) and for larger ones while faster."""
    largest = min(LARGEST_BATCH_ON_ACCELERATOR if accelerated else LARGEST_BATCH, expected)
    enough = 1.0 if accelerated else WORTHWHILE  # an accelerator's memory is not shared with other programs
    until = time.perf_counter() + PART_OF_RUN * expected / rate
    rates = {size: rate}
    while 2 * size <= largest and time.perf_counter() + (1 + REPEATS * AT_ONCE) * 2 * size / rates[size] < until:
        try:
            seconds, _ = _time(encoder, _repeated(pictures, 2 * size))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            break
        rates[2 * size] = 2 * size / seconds
        if rates[2 * size] < enough * rates[size]:
            break
        size *= 2
    return rates


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a backend's error means that a device is out of memory."""
    return type(error).__name__ == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error)


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the lowest cosine between a picture's features in `a` and `b`, both (pictures, ...)."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)  # (pictures, numbers)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.min((a * b).sum(axis=1) / np.maximum(norms, np.finfo(np.float32).tiny)))


def _repeated(pictures: np.ndarray, count: int) -> np.ndarray:
    return np.take(pictures, np.arange(count), axis=0, mode="wrap")


def _time(encoder: Encoder, pictures: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """Return the seconds per pass, with as many parallel passes as in an extraction, and the features."""
    features = encoder.encode_layers(pictures)  # compiles
    seconds = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(REPEATS):
            began = time.perf_counter()
            list(pool.map(encoder.encode_layers, [pictures] * AT_ONCE))
            seconds.append((time.perf_counter() - began) / AT_ONCE)
    return min(seconds), features
