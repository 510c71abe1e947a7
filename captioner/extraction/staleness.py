"""Checks whether complete features still match a folder's pictures if names and sizes have not changed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from captioner.extraction.loader import available_cores, read_listed
from captioner.features.store import FeatureStore, open_features
from captioner.images.decode import load_image
from captioner.images.listing import Pictures
from captioner.storage import DataError, read_manifest


def are_stale(path: Path, pictures: Pictures, max_pixels: int) -> bool:
    """Return whether a picture was replaced by one of the same size, or a skipped picture can now be read.

    The latter is also possible after installing a package for its format, or with another limit of pixels.

    Args:
        path: a feature file of the pictures, with its manifest.
        pictures: the current pictures of the folder.
        max_pixels: larger pictures are not read.

    Raises:
        DataError: the feature file cannot be read.
    """
    return _one_is_readable(path, pictures, max_pixels) or bool(replaced(path, pictures).any())


def replaced(path: Path, pictures: Pictures) -> np.ndarray:
    """Return which pictures have other content than the pictures in a feature file, (pictures,) bool.

    Only files that are newer than the features are read: a replaced picture with an older time and the same size is
    not noticed.

    Raises:
        DataError: the feature file cannot be read.
    """
    found = np.zeros(len(pictures), bool)
    newer = np.flatnonzero(pictures.modified >= path.stat().st_mtime_ns)
    if not newer.size:
        return found
    store = open_features(path)
    sources = store.sources()
    if sources is not None:
        found[different(store, sources, pictures, newer.tolist())] = True
    return found


def different(store: FeatureStore, sources: np.ndarray, pictures: Pictures, places: Sequence[int]) -> list[int]:
    """Return the places of the pictures whose content differs from the content that was encoded; reads all their files.

    Args:
        store: the features.
        sources: the store's recorded files.
        pictures: the current pictures of the folder.
        places: the places of the pictures to check; those without features are ignored.
    """
    rows = store.ids.find_encoded(pictures.ids.encoded)  # (pictures,), -1 where there are no features

    def differs(place: int) -> bool:
        source = sources[rows[place]]
        try:
            _, _, (size, _, digest) = read_listed(pictures, place)
        except DataError:
            return True
        return (size, digest) != (source["bytes"], source["digest"].tobytes())

    held = [int(place) for place in places if rows[place] >= 0]
    with ThreadPoolExecutor(available_cores()) as pool:
        return [place for place, is_other in zip(held, pool.map(differs, held), strict=True) if is_other]


def _one_is_readable(path: Path, pictures: Pictures, max_pixels: int) -> bool:
    skipped = list((read_manifest(path) or {}).get("skipped") or ())
    for place in map(int, pictures.ids.find(skipped) if skipped else ()):
        if place < 0:
            continue
        try:
            name, data, _ = read_listed(pictures, place)
            load_image(data, name=name, max_pixels=max_pixels)
        except DataError:
            continue
        return True
    return False
