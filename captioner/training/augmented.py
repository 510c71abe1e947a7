"""Features of training pictures that are read, changed at random and encoded each time training asks for them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from captioner.encoders.encoder import Encoder
from captioner.images.augment import augment
from captioner.images.decode import load_image
from captioner.storage import DataError


class AugmentedPictures:
    """The features of randomly changed pictures; the same seed and epoch give the same changes.

    Args:
        paths: image_id -> the picture's file.
        encoder: encodes the changed pictures.
        changes: see captioner.images.augment.augment.
        one_sided: pictures whose captions mention left or right: they are never mirrored.
        seed: seed of the changes.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        encoder: Encoder,
        changes: Sequence[str],
        one_sided: Collection[str],
        seed: int,
    ) -> None:
        self._paths, self._encoder, self._seed = paths, encoder, seed
        self._changes, self._one_sided = tuple(changes), frozenset(one_sided)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="augment")
        self._epoch = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a picture's features."""
        return self._encoder.feature_shape

    def start_at(self, epoch: int) -> None:
        """Draw new changes for epoch number `epoch` (from 0)."""
        self._epoch = epoch

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features (n, ...) float32 of n pictures, encoded as one batch.

        Raises:
            DataError: a picture is missing or broken.
        """
        prepared = list(self._threads.map(self._prepared, ids, [self._epoch] * len(ids)))
        return self._encoder.encode(np.stack(prepared))

    def _prepared(self, image_id: str, epoch: int) -> np.ndarray:
        if image_id not in self._paths:
            raise DataError(f"picture {image_id} is not in the folder data.images; train.augment needs it there")
        rng = np.random.default_rng([self._seed, epoch, zlib.crc32(image_id.encode())])
        changes = [change for change in self._changes if change != "flip" or image_id not in self._one_sided]
        picture = load_image(self._paths[image_id], at_least=self._encoder.input_size)
        return self._encoder.prepare(augment(picture, changes, rng))
