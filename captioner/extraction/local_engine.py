"""Extraction on this machine: decoding, transfer and forward pass run at the same time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import keras
import numpy as np

from captioner.extraction.loader import Decoded, Decoder, Listing, decode_batches
from captioner.extraction.partial import EncodedBatch

AT_ONCE = 2  # batches in the network


def on_accelerator() -> bool:
    """Return whether the network runs on an accelerator, and not on the cores that decode."""
    return not keras.distribution.list_devices()[0].startswith("cpu")


@dataclass
class Waits:
    """Waiting times in seconds.

    Attributes:
        decoding: time in which the network waited for decoded pictures.
        forward: time in which decoded pictures waited for the network.
    """

    decoding: float = 0.0
    forward: float = 0.0

    @property
    def limit(self) -> str:
        """The bottleneck."""
        return "decoding" if self.decoding > self.forward else "the forward pass"


class Forward(Protocol):
    """The part of `captioner.encoders.encoder.Encoder` that the engine uses."""

    def encode_layers(self, pictures: np.ndarray, at_least: int = 0) -> list[np.ndarray]:
        """Return the layers' features of prepared pictures (pictures, ...), from one pass."""
        ...


def run_local(
    pictures: Listing,
    batches: Iterable[np.ndarray],
    encoder: Forward,
    decoder: Decoder,
    threads: int,
    waits: Waits,
    at_least: int,
) -> Iterator[EncodedBatch]:
    """Yield the batches' features in order.

    Two batches are in the network at a time: on an accelerator, one is transferred while the other is computed; on a
    CPU, one uses the cores that the other leaves idle in its small layers.

    Args:
        pictures: the listing.
        batches: the places of each batch's pictures in the listing; for empty batches see `decode_batches`.
        encoder: the network.
        decoder: how files are decoded.
        threads: number of decoding threads.
        waits: collects the waiting times.
        at_least: see `Encoder.encode_layers`.
    """
    running: deque[tuple[Decoded, Future[list[np.ndarray]]]] = deque()
    forward = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="forward")
    decoded = decode_batches(pictures, batches, decoder, threads)
    try:
        while True:
            began = time.perf_counter()
            batch = next(decoded, None)
            if batch is None:
                break
            idle = all(future.done() for _, future in running)
            waits.decoding += time.perf_counter() - began if idle else 0.0
            running.append((batch, forward.submit(encoder.encode_layers, batch.pictures, at_least)))
            while len(running) > (AT_ONCE if len(batch.places) else 0):
                yield _finished(*running.popleft(), waits)
        while running:
            yield _finished(*running.popleft(), waits)
    finally:
        forward.shutdown(cancel_futures=True)
        decoded.close()


def _finished(batch: Decoded, future: Future[list[np.ndarray]], waits: Waits) -> EncodedBatch:
    began = time.perf_counter()
    features = future.result()
    waits.forward += time.perf_counter() - began
    return EncodedBatch(batch.places, batch.sources, batch.skipped, features)
