"""The features that a decoder reads behind frozen encoder layers, computed once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captioner.data.batches import Features
from captioner.models.fine_tuned import FineTunedDecoder

AT_ONCE = 32  # pictures


class SeenFeatures:
    """The encoder's last grids, computed from inner grids and kept in memory as float16.

    Args:
        decoder: its tail computes the grids, with its current weights.
        features: the inner grids.
        ids: the pictures.
    """

    def __init__(self, decoder: FineTunedDecoder, features: Features, ids: Sequence[str]) -> None:
        self._row = {image_id: row for row, image_id in enumerate(ids)}
        self._grids = np.empty((len(ids), *decoder.decoder.feature_shape), np.float16)
        _, *shape = decoder.tail.input_shape
        for start in range(0, len(ids), AT_ONCE):
            inner = features.gather(ids[start : start + AT_ONCE])
            grids = np.asarray(decoder.tail.predict_on_batch(inner.reshape(-1, *shape)))
            self._grids[start : start + AT_ONCE] = grids.reshape(-1, *self._grids.shape[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """(regions, channels)."""
        return self._grids.shape[1:]

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the last grids (n, regions, channels) float32 of n pictures."""
        return self._grids[[self._row[image_id] for image_id in ids]].astype(np.float32)
