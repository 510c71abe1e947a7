"""Several feature files of the same pictures, each of another view; training chooses a view at random."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from captioner.features.store import FeatureStore
from captioner.images.views import is_mirrored


class Store(Protocol):
    """Features by image_id."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a picture's features."""
        ...

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features (n, ...) float32 of n pictures."""
        ...


class Views:
    """Features of a random view of each picture; the same seed and epoch give the same views.

    Args:
        stores: the files; the first has the unchanged pictures.
        one_sided: pictures whose captions mention left or right: they are never mirrored.
        seed: seed of the choice.
    """

    def __init__(self, stores: Sequence[FeatureStore], one_sided: Collection[str], seed: int) -> None:
        self.stores: tuple[Store, ...] = tuple(stores)
        self.seed = seed
        self._one_sided = frozenset(one_sided)
        views = [(store.description or {}).get("view", "whole") for store in stores]
        self._upright = [place for place, view in enumerate(views) if not is_mirrored(view)]
        self._epoch = 0

    def through(self, stores: Sequence[Store]) -> Views:
        """Return the same choices for other stores, which a network has computed from these, one for each."""
        other = copy.copy(self)
        other.stores = tuple(stores)
        return other

    def start_at(self, epoch: int) -> None:
        """Draw new views for epoch number `epoch` (from 0)."""
        self._epoch = epoch

    def view_of(self, image_id: str) -> int:
        """Return the number of the file that is used for a picture in this epoch."""
        rng = np.random.default_rng([self.seed, self._epoch, zlib.crc32(image_id.encode())])
        if image_id in self._one_sided:
            return self._upright[rng.integers(len(self._upright))]
        return int(rng.integers(len(self.stores)))

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features (n, ...) float32 of n pictures. Raises DataError as FeatureStore.gather does."""
        views = np.array([self.view_of(image_id) for image_id in ids], int)
        features = np.empty((len(ids), *self.stores[0].shape), np.float32)
        for place, store in enumerate(self.stores):
            rows = np.flatnonzero(views == place)
            if len(rows):
                features[rows] = store.gather([ids[int(row)] for row in rows])
        return features
