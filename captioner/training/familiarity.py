"""How unlike the training pictures a picture is: a captioner of drawings can say little of photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.training.baseline import as_directions, directions

if TYPE_CHECKING:
    from captioner.data.batches import Features

SAMPLE = 2000  # training pictures that are looked at
QUANTILE = 0.995  # of the training pictures' distances: beyond it a picture counts as unlike them


class Familiarity:
    """Tells pictures that are unlike those of the training by the direction of their features.

    A picture's distance is 1 - the cosine of its features and the training pictures' mean direction. Of Flickr8k's dev
    pictures (EfficientNet-Lite0, training on 1,250) 1 in 200 lies beyond the limit, of drawn ones 19 in 20.

    Attributes:
        mean: (channels,) the training pictures' mean direction.
        limit: the distance beyond which a picture is unlike them.
    """

    def __init__(self, mean: Sequence[float] | np.ndarray, limit: float) -> None:
        self.mean, self.limit = np.asarray(mean, np.float32), float(limit)

    @classmethod
    def of(cls, features: Features, ids: Sequence[str]) -> Familiarity:
        """Return that of training pictures, of at most SAMPLE of them."""
        rows = directions(features, ids[:: max(1, len(ids) // SAMPLE)])  # (pictures, channels)
        mean = rows.mean(axis=0)
        mean /= max(float(np.linalg.norm(mean)), 1e-12)
        return cls(mean, float(np.quantile(1 - rows @ mean, QUANTILE)))

    def unlike(self, features: np.ndarray) -> np.ndarray:
        """Return (pictures,) bool, whether each picture is unlike the training's, from its features (pictures, ...)."""
        return 1 - as_directions(features) @ self.mean > self.limit

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"mean": [round(float(value), 5) for value in self.mean], "limit": round(self.limit, 5)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Familiarity:
        """Return what `to_json` was given."""
        return cls(content["mean"], content["limit"])
