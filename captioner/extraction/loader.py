"""Reads and decodes pictures in threads, batch by batch, ahead of the network."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from captioner.extraction.partial import DIGEST_BYTES, SOURCE
from captioner.images.decode import load_image
from captioner.images.files import read_picture
from captioner.storage import DataError

PICTURES_A_TASK = 4  # with fewer, the overhead of tasks is too large
BATCHES_AHEAD = 2
PLACES_AT_ONCE = 2**16  # places that are searched at a time

Prepare = Callable[[np.ndarray], np.ndarray]


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Listing(Protocol):
    """The part of `captioner.images.listing.Pictures` that the loader uses."""

    @property
    def bytes(self) -> np.ndarray:
        """Return the files' sizes, (pictures,)."""
        ...

    @property
    def modified(self) -> np.ndarray:
        """Return the files' modification times, (pictures,) in nanoseconds."""
        ...

    def path(self, place: int) -> Path:
        """Return a picture's path."""
        ...


@runtime_checkable
class HoldsContent(Protocol):
    """A listing with pictures that are not separate files, such as members of tar files."""

    def name(self, place: int) -> str:
        """Return a picture's name."""
        ...

    def content(self, place: int) -> bytes | None:
        """Return the bytes of a picture that is not a separate file, None for one that is."""
        ...


@dataclass(frozen=True)
class Decoder:
    """How files are turned into a network's input.

    Attributes:
        size: (height, width) in pixels.
        prepare: resizes a picture (h, w, 3) uint8 to that size.
        max_pixels: see `captioner.images.decode.load_image`.
        shape: the shape of `prepare`'s result if it is not (height, width, 3).
    """

    size: tuple[int, int]
    prepare: Prepare
    max_pixels: int | None = None
    shape: tuple[int, ...] | None = None

    @property
    def prepared_shape(self) -> tuple[int, ...]:
        """The shape of a prepared picture."""
        return self.shape or (*self.size, 3)


@dataclass(frozen=True)
class Decoded:
    """A batch of pictures.

    Attributes:
        places: (pictures,) their places in the listing.
        pictures: (pictures, height, width, 3) uint8, or the decoder's shape; unreadable pictures are black, so that the
            others have the same place in the batch in every run.
        sources: (pictures,) of `SOURCE`: the files' properties when they were read.
        skipped: place -> why a picture could not be read.
    """

    places: np.ndarray
    pictures: np.ndarray
    sources: np.ndarray
    skipped: dict[int, str]


def in_batches(marked: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield the places of the marked pictures (pictures,), `size` at a time, without building a list of all places."""
    places = np.zeros(0, np.int64)
    for start in range(0, len(marked), PLACES_AT_ONCE):
        found = start + np.flatnonzero(marked[start : start + PLACES_AT_ONCE])
        places = np.concatenate([places, found])
        whole = len(places) // size * size
        yield from np.split(places[:whole], whole // size) if whole else ()
        places = places[whole:]
    if len(places):
        yield places


def decode_batches(
    pictures: Listing, batches: Iterable[np.ndarray], decoder: Decoder, threads: int
) -> Generator[Decoded]:
    """Yield batches in order, while threads decode the next ones.

    Args:
        pictures: the listing.
        batches: the places of each batch's pictures in the listing. After an empty batch, all unfinished batches and
            then the empty batch are yielded before the next batch is requested.
        decoder: how files are decoded.
        threads: number of decoding threads.
    """
    waiting: deque[tuple[Decoded, list[Future[None]]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for places in batches:
            batch = _blank(pictures, places, decoder.prepared_shape)
            tasks = [
                pool.submit(_fill, batch, rows, pictures, decoder) for rows in _portions(len(places), PICTURES_A_TASK)
            ]
            waiting.append((batch, tasks))
            if not len(places):
                while waiting:
                    yield _finished(*waiting.popleft())
                continue
            ahead = max(BATCHES_AHEAD, -(-threads * PICTURES_A_TASK // len(places)))
            if len(waiting) > ahead:
                yield _finished(*waiting.popleft())
        for batch, tasks in waiting:
            yield _finished(batch, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _blank(listing: Listing, places: np.ndarray, shape: tuple[int, ...]) -> Decoded:
    sources = np.zeros(len(places), SOURCE)  # from the listing, in case a file has vanished
    sources["bytes"], sources["modified"] = listing.bytes[places], listing.modified[places]
    return Decoded(places, np.zeros((len(places), *shape), np.uint8), sources, {})


def _portions(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _finished(batch: Decoded, tasks: Sequence[Future[None]]) -> Decoded:
    for task in tasks:
        task.result()
    return batch


def _fill(batch: Decoded, rows: Iterable[int], listing: Listing, decoder: Decoder) -> None:
    for row in rows:
        place = int(batch.places[row])
        try:
            name, data, batch.sources[row] = read_listed(listing, place)
            batch.pictures[row] = decode(data, name, decoder)
        except DataError as error:
            batch.skipped[place] = str(error)


def read_listed(listing: Listing, place: int) -> tuple[str, bytes, tuple[int, int, bytes]]:
    """Return a picture's name, its content, and the file's properties, see `read_source`.

    Raises:
        DataError: it is missing or cannot be read.
    """
    if isinstance(listing, HoldsContent) and (data := listing.content(place)) is not None:
        return listing.name(place), data, (len(data), int(listing.modified[place]), content_digest(data))
    path = listing.path(place)
    return str(path), *read_source(path)


def decode(data: bytes, path: str | Path, decoder: Decoder) -> np.ndarray:
    """Return a picture (height, width, 3) uint8 as the network's input.

    Raises:
        DataError: it cannot be decoded.
    """
    picture = load_image(data, name=str(path), max_pixels=decoder.max_pixels, at_least=decoder.size)
    return decoder.prepare(picture)


def read_source(path: Path) -> tuple[bytes, tuple[int, int, bytes]]:
    """Return a file's content, and its size, time and digest for `SOURCE`.

    Raises:
        DataError: it is missing, cannot be read, or is not a picture.
    """
    try:
        data, status = read_picture(path)
    except DataError as error:
        gone = "no such file" in str(error)
        raise DataError(f"{error}; check the path, or whether the file was removed" if gone else str(error)) from None
    return data, (status.st_size, status.st_mtime_ns, content_digest(data))


def content_digest(data: bytes) -> bytes:
    """Return the first 16 bytes of the content's SHA-256, which detect changed files."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]
