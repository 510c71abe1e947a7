"""Pictures read and decoded in threads, batch after batch, ahead of the network that takes them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from captioner.extraction.partial import DIGEST_BYTES, SOURCE
from captioner.images.decode import load_image
from captioner.images.files import read_picture
from captioner.storage import DataError

PICTURES_A_TASK = 4  # fewer would spend their time on being handed about
BATCHES_AHEAD = 2
PLACES_AT_ONCE = 2**16  # that are looked through

Prepare = Callable[[np.ndarray], np.ndarray]


class Listing(Protocol):
    """What is needed of `captioner.images.listing.Pictures`."""

    @property
    def bytes(self) -> np.ndarray:
        """Return the files' sizes, (pictures,)."""
        ...

    @property
    def modified(self) -> np.ndarray:
        """Return when the files were changed last, (pictures,) in nanoseconds."""
        ...

    def path(self, place: int) -> Path:
        """Return a picture's path."""
        ...


@dataclass(frozen=True)
class Decoder:
    """How files become the pictures that a network takes.

    Attributes:
        size: (height, width) in pixels.
        prepare: resizes a picture (h, w, 3) uint8 to that size.
        max_pixels: see `captioner.images.decode.load_image`.
    """

    size: tuple[int, int]
    prepare: Prepare
    max_pixels: int | None = None


@dataclass(frozen=True)
class Decoded:
    """A batch of pictures.

    Attributes:
        places: (pictures,) where they stand in the listing.
        pictures: (pictures, height, width, 3) uint8; black where one could not be read, so that the others keep their
            place in the batch however often it runs.
        sources: (pictures,) of `SOURCE`, what the files were as they were read.
        skipped: place -> why a picture could not be read.
    """

    places: np.ndarray
    pictures: np.ndarray
    sources: np.ndarray
    skipped: dict[int, str]


def in_batches(marked: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield the places of what is marked (pictures,), `size` at a time, without a list of all of them."""
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
    """Yield one batch after another, while threads decode the next ones.

    Args:
        pictures: the listing.
        batches: the places in it of the pictures that go together.
        decoder: how files become pictures.
        threads: that decode.
    """
    waiting: deque[tuple[Decoded, list[Future[None]]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for places in batches:
            batch = _blank(pictures, places, decoder.size)
            tasks = [
                pool.submit(_fill, batch, rows, pictures, decoder) for rows in _portions(len(places), PICTURES_A_TASK)
            ]
            waiting.append((batch, tasks))
            ahead = max(BATCHES_AHEAD, -(-threads * PICTURES_A_TASK // len(places)))
            if len(waiting) > ahead:
                yield _finished(*waiting.popleft())
        for batch, tasks in waiting:
            yield _finished(batch, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _blank(listing: Listing, places: np.ndarray, size: tuple[int, int]) -> Decoded:
    sources = np.zeros(len(places), SOURCE)  # as listed, where a file turns out to be gone
    sources["bytes"], sources["modified"] = listing.bytes[places], listing.modified[places]
    return Decoded(places, np.zeros((len(places), *size, 3), np.uint8), sources, {})


def _portions(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _finished(batch: Decoded, tasks: Sequence[Future[None]]) -> Decoded:
    for task in tasks:
        task.result()
    return batch


def _fill(batch: Decoded, rows: Iterable[int], listing: Listing, decoder: Decoder) -> None:
    for row in rows:
        place = int(batch.places[row])
        path = listing.path(place)
        try:
            data, batch.sources[row] = read_source(path)
            batch.pictures[row] = decode(data, path, decoder)
        except DataError as error:
            batch.skipped[place] = str(error)


def decode(data: bytes, path: Path, decoder: Decoder) -> np.ndarray:
    """Return a picture (height, width, 3) uint8 as the network takes it.

    Raises:
        DataError: it cannot be decoded.
    """
    picture = load_image(data, name=str(path), max_pixels=decoder.max_pixels, at_least=decoder.size)
    return decoder.prepare(picture)


def read_source(path: Path) -> tuple[bytes, tuple[int, int, bytes]]:
    """Return a file's content, and its size, time and digest, as `SOURCE` has them.

    Raises:
        DataError: it is missing, cannot be read, or is no picture.
    """
    try:
        data, status = read_picture(path)
    except DataError as error:
        gone = "no such file" in str(error)
        raise DataError(f"{error}; it vanished after its folder was read" if gone else str(error)) from None
    return data, (status.st_size, status.st_mtime_ns, content_digest(data))


def content_digest(data: bytes) -> bytes:
    """Return the first 16 bytes of a content's SHA-256: to tell a changed file from what it was."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]
