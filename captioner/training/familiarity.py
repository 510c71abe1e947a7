"""How unlike the training pictures a picture is: a captioner of drawings can say little of photographs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.training.baseline import as_directions, directions

if TYPE_CHECKING:
    from captioner.data.batches import Features

SAMPLE = 6000  # training pictures that are looked at, at most
CENTRES = 64  # kinds of pictures, at most
PICTURES_OF_A_KIND = 20  # fewer centres for fewer pictures
ROUNDS = 15  # of k-means
QUANTILE = 0.995  # of the training pictures' distances: beyond it a picture counts as unlike them


class Familiarity:
    """Tells pictures that are unlike those of the training by the direction of their features.

    The training pictures' directions are gathered around a few centres (spherical k-means; Dhillon and Modha, "Concept
    Decompositions for Large Sparse Text Data Using Clustering", 2001). A picture's distance is 1 - the cosine of its
    features and the nearest centre.

    Attributes:
        centres: (centres, channels), of length 1.
        limit: the distance beyond which a picture is unlike the training's.
        typical, spread: median and standard deviation of the training pictures' distances, the latter wider for few.
    """

    def __init__(self, centres: Sequence[Any] | np.ndarray, limit: float, typical: float, spread: float) -> None:
        self.centres = np.asarray(centres, np.float32)
        self.limit, self.typical, self.spread = float(limit), float(typical), float(spread)

    @classmethod
    def of(cls, features: Features, ids: Sequence[str]) -> Familiarity:
        """Return that of training pictures, of at most SAMPLE of them."""
        rows = directions(features, ids[:: -(-len(ids) // SAMPLE)])  # (pictures, channels)
        centres = _centres(rows, max(1, min(CENTRES, len(rows) // PICTURES_OF_A_KIND)))
        distances = 1 - (rows @ centres.T).max(axis=1)
        typical, spread = float(np.median(distances)), max(float(distances.std()), 1e-6)
        # A few pictures do not show how far others of their kinds can lie.
        few = 1 + PICTURES_OF_A_KIND / len(rows)
        return cls(centres, typical + few * (float(np.quantile(distances, QUANTILE)) - typical), typical, few * spread)

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return (pictures,) the distances of pictures from their features (pictures, ...)."""
        return 1 - (as_directions(features) @ self.centres.T).max(axis=1)

    def unlike(self, features: np.ndarray) -> np.ndarray:
        """Return (pictures,) bool, whether each picture is unlike the training's, from its features (pictures, ...)."""
        return self.distances(features) > self.limit

    def strangeness(self, features: np.ndarray) -> np.ndarray:
        """Return (pictures,) by how many spreads more than one each distance is above the typical one, 0 or more."""
        return np.maximum(0.0, (self.distances(features) - self.typical) / self.spread - 1)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it, the centres as float16 in base64."""
        return {
            "centres": base64.b64encode(self.centres.astype("<f2").tobytes()).decode(),
            "channels": self.centres.shape[1],
            "limit": round(self.limit, 5),
            "typical": round(self.typical, 5),
            "spread": round(self.spread, 6),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Familiarity:
        """Return what `to_json` was given; files of before have one centre, the mean, and no strangeness."""
        if "mean" in content:
            return cls([content["mean"]], content["limit"], content["limit"], np.inf)
        numbers = np.frombuffer(base64.b64decode(content["centres"]), "<f2").astype(np.float32)
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
