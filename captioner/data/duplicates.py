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
BITS = LOW * LOW - 1  # without the mean, which is only the picture's brightness
# Of Flickr8k's 24 million pairs, one has distance 0 and all others at least 8. Copies that are saved again, smaller,
# in grey or brighter have a distance of at most 6.
FARTHEST = 6
THREADS = 4
LEAST_GREY, LEAST_COLOUR = 0.93, 0.6  # correlations between the thumbnails of a picture and its copy
COLOURLESS = 8  # the channels of a picture with little colour differ by at most this many levels

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_STEPS = np.arange(SIDE)
_COSINES = np.cos(np.pi * (2 * _STEPS[None] + 1) * _STEPS[:LOW, None] / (2 * SIDE)).astype(np.float32)  # (LOW, SIDE)


def perceptual_hash(path: Path) -> int:
    """Return the 63 bits of a picture's pHash: which of its lowest frequencies are above their median.

    It uses the 8 x 8 lowest frequencies, without the mean, of the cosine transform of the 32 x 32 grey picture
    (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.1).

    Raises:
        DataError: the picture cannot be read.
    """
    grey = _thumbnail(path) @ _GREY  # (SIDE, SIDE)
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

    Two pictures look alike if their hashes differ in at most `farthest` bits; the relation is made transitive.
    """
    values = np.unique(np.array(list(hashes.values()), np.uint64))  # so that a thousand blank pictures count once
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


def confirmed(groups: Sequence[Sequence[str]], pictures: Mapping[str, Path]) -> list[tuple[str, ...]]:
    """Return the groups without pictures whose greys or colours disagree at 32 x 32 pixels.

    The hash alone confuses drawings of few shapes. Copies of Flickr8k's photographs that are saved at quality 10,
    smaller, darker, brighter, in grey or with half the colour stay within these bounds.

    Args:
        groups: groups of image_ids from `near_duplicates`.
        pictures: image_id -> the picture's file.
    """
    kept: list[tuple[str, ...]] = []
    for group in groups:
        alike: list[tuple[np.ndarray, list[str]]] = []
        for name in group:
            look = _thumbnail(pictures[name])
            same = next((names for first, names in alike if _agree(first, look)), None)
            if same is None:
                alike.append((look, [name]))
            else:
                same.append(name)
        kept += [tuple(names) for _, names in alike if len(names) > 1]
    return kept


def _agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two thumbnails (SIDE, SIDE, 3) correlate in grey and, if both have colour, in colour."""
    greys = [picture @ _GREY for picture in (one, other)]
    if not all(grey.std() > 0 for grey in greys):
        return all(grey.std() == 0 for grey in greys)
    if np.corrcoef(greys[0].ravel(), greys[1].ravel())[0, 1] < LEAST_GREY:
        return False
    first, second = ((picture[..., ::2] - picture[..., 1:2]).ravel() for picture in (one, other))
    lengths = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if min(lengths) < COLOURLESS * np.sqrt(first.size):
        return True
    return float(first @ second) >= LEAST_COLOUR * lengths[0] * lengths[1]


def _thumbnail(path: Path) -> np.ndarray:
    picture = load_image(path, at_least=(SIDE, SIDE))
    return resize(picture, (SIDE, SIDE), "whole", "bilinear").astype(np.float32)  # (SIDE, SIDE, 3)


def _pairs(values: np.ndarray, farthest: int) -> set[tuple[int, int]]:
    """Return the index pairs of hashes (n,) that differ in at most `farthest` bits.

    If a hash is cut into farthest + 1 bands, such a pair agrees in at least one: only pairs that share a band are
    compared.
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
