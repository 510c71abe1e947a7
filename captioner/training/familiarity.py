"""Measures how far a picture is from the training pictures: a captioner of drawings cannot caption photographs well."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.training.baseline import as_directions, directions

if TYPE_CHECKING:
    from captioner.data.batches import Features

SAMPLE = 6000  # largest number of training pictures that are used
CENTRES = 64  # largest number of clusters
PICTURES_OF_A_KIND = 20  # pictures per cluster at least: fewer pictures have fewer clusters
ROUNDS = 15  # of k-means
STORED = "<f2"  # the type of the centres in a file
LEAST = 1e-4  # between typical pictures and unfamiliar ones: a file has five digits
QUANTILE = 0.995  # of the training pictures' distances; a picture beyond it counts as unfamiliar


class Familiarity:
    """Recognizes pictures that are unlike the training pictures from the direction of their features.

    The training pictures' directions are clustered around a few centres (spherical k-means; Dhillon and Modha, "Concept
    Decompositions for Large Sparse Text Data Using Clustering", 2001). A picture's distance is 1 minus the cosine
    between its features and the nearest centre.

    Attributes:
        centres: (centres, channels), of length 1.
        limit: the distance beyond which a picture is unlike the training pictures.
        typical, spread: median and standard deviation of the training pictures' distances; the latter is increased if
            there are few pictures.
    """

    def __init__(self, centres: Sequence[Any] | np.ndarray, limit: float, typical: float, spread: float) -> None:
        self.centres = np.asarray(centres, np.float32)
        self.limit, self.typical, self.spread = float(limit), float(typical), float(spread)

    @classmethod
    def of(cls, features: Features, ids: Sequence[str]) -> Familiarity:
        """Compute the centres and distances from at most SAMPLE of the training pictures."""
        rows = directions(features, ids[:: -(-len(ids) // SAMPLE)])  # (pictures, channels)
        centres = _centres(rows, max(1, min(CENTRES, len(rows) // PICTURES_OF_A_KIND)))
        centres = centres.astype(STORED).astype(np.float32)  # the distances are of what is stored
        distances = 1 - (rows @ centres.T).max(axis=1)
        typical, spread = float(np.median(distances)), max(float(distances.std()), 1e-6)
        # A few pictures underestimate how far other pictures of the same kinds can be.
        few = 1 + PICTURES_OF_A_KIND / len(rows)
        beyond = max(few * (float(np.quantile(distances, QUANTILE)) - typical), LEAST)
        return cls(centres, typical + beyond, typical, few * spread)

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return the distances (pictures,) of pictures with the features (pictures, ...)."""
        return 1 - (as_directions(features) @ self.centres.T).max(axis=1)

    def unlike(self, features: np.ndarray) -> np.ndarray:
        """Return (pictures,) bool: whether each picture with the features (pictures, ...) is unlike the training's."""
        return self.distances(features) > self.limit

    def strangeness(self, features: np.ndarray) -> np.ndarray:
        """Return max(0, (distance - typical) / spread - 1) of each picture, (pictures,)."""
        return np.maximum(0.0, (self.distances(features) - self.typical) / self.spread - 1)

    def to_json(self) -> dict[str, Any]:
        """Return a value for JSON, with the centres as float16 in base64."""
        return {
            "centres": base64.b64encode(self.centres.astype(STORED).tobytes()).decode(),
            "channels": self.centres.shape[1],
            "limit": round(self.limit, 5),
            "typical": round(self.typical, 5),
            "spread": round(self.spread, 6),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Familiarity:
        """Build it from the result of `to_json`; older files have one centre, the mean, and no strangeness."""
        if "mean" in content:
            return cls([content["mean"]], content["limit"], content["limit"], np.inf)
        numbers = np.frombuffer(base64.b64decode(content["centres"]), STORED).astype(np.float32)
        centres = numbers.reshape(-1, int(content["channels"]))
        return cls(centres, content["limit"], content["typical"], content["spread"])


def _centres(rows: np.ndarray, count: int) -> np.ndarray:
    """Return the centres (count, channels) of directions (pictures, channels)."""
    rng = np.random.default_rng(0)
    centres = rows[rng.choice(len(rows), count, replace=False)].copy()
    for _ in range(ROUNDS):
        nearest = (rows @ centres.T).argmax(axis=1)  # (pictures,)
        for index in range(count):
            if (nearest == index).any():
                centres[index] = rows[nearest == index].mean(axis=0)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return centres
