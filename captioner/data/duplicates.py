"""Pictures that look alike: a perceptual hash of each, and the groups whose hashes nearly agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from captioner.images.decode import load_image, resize
from captioner.progress import Progress
from captioner.storage import DataError

SIDE = 32  # pixels of the picture that is hashed
LOW = 8  # frequencies kept in each direction
BITS = LOW * LOW - 1  # the mean says nothing but how bright a picture is
# Among Flickr8k's 24 million pairs one has distance 0, no other is below 8; a picture saved again, smaller, in grey or
# brighter stays within 6.
FARTHEST = 6
THREADS = 4

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_STEPS = np.arange(SIDE)
_COSINES = np.cos(np.pi * (2 * _STEPS[None] + 1) * _STEPS[:LOW, None] / (2 * SIDE)).astype(np.float32)  # (LOW, SIDE)


def perceptual_hash(path: Path) -> int:
    """Return the 63 bits of a picture's pHash: which of its lowest frequencies lie above their median.

    The cosine transform of the picture in 32 x 32 greys, its 8 x 8 lowest frequencies without the mean
    (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.1).

    Raises:
        DataError: the picture cannot be read.
    """
    picture = resize(load_image(path, at_least=(SIDE, SIDE)), (SIDE, SIDE), "whole", "bilinear")
    grey = picture.astype(np.float32) @ _GREY  # (SIDE, SIDE)
    low = (_COSINES @ grey @ _COSINES.T).reshape(-1)[1:]  # (BITS,)
    return int("".join("1" if bit else "0" for bit in low > np.median(low)), 2)


def hash_pictures(pictures: Mapping[str, Path]) -> dict[str, int]:
    """Return image_id -> perceptual hash of the pictures that can be read; the others are left out."""

    def look(path: Path) -> int | None:
        try:
            return perceptual_hash(path)
        except DataError:
            return None

    hashes: dict[str, int] = {}
    pool = ThreadPoolExecutor(THREADS)
    try:
        with Progress("looking for near-duplicate pictures", len(pictures), "pictures") as progress:
            for image_id, found in zip(pictures, pool.map(look, pictures.values()), strict=True):
                if found is not None:
                    hashes[image_id] = found
                progress.advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
    return hashes


def near_duplicates(hashes: Mapping[str, int], farthest: int = FARTHEST) -> list[tuple[str, ...]]:
    """Return the groups of pictures that look alike, each of two or more, in the order of `hashes`.

    Two pictures look alike when their hashes differ in at most `farthest` bits; likeness is handed on.
    """
    values = np.unique(np.array(list(hashes.values()), np.uint64))  # a thousand blank pictures are one
    parents = list(range(len(values)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for one, other in _pairs(values, farthest):
        parents[root(one)] = root(other)
    index = {int(value): position for position, value in enumerate(values)}
    groups: dict[int, list[str]] = {}
    for name, value in hashes.items():
        groups.setdefault(root(index[value]), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _pairs(values: np.ndarray, farthest: int) -> set[tuple[int, int]]:
    """Return the index pairs of hashes (n,) that differ in at most `farthest` bits.

    Of farthest + 1 bands of a hash, such a pair agrees in one at least: only those that share a band are compared.
    """
    edges = np.linspace(0, BITS, farthest + 2).astype(int)
    pairs: set[tuple[int, int]] = set()
    for low, high in pairwise(edges):
        band = (values >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        bounds = np.flatnonzero(np.diff(band[order])) + 1
        for members in np.split(order, bounds):
            pairs.update(_close(values, members, farthest))
    return pairs


def _close(values: np.ndarray, members: np.ndarray, farthest: int) -> Sequence[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for position in range(len(members) - 1):
        rest = members[position + 1 :]
        near = rest[np.bitwise_count(values[rest] ^ values[members[position]]) <= farthest]
        found += [(int(members[position]), int(other)) for other in near]
    return found
