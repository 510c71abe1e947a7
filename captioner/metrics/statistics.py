"""A metric's counts for each candidate; summing them gives the score of any set of candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Combine = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Statistics:
    """A metric's counts for each candidate. The score of a corpus is computed from the sum of its candidates' rows.

    Attributes:
        rows: (candidates, statistics) float64.
        combine: maps sums (..., statistics) to score by key, (...) each, as fractions.
    """

    rows: np.ndarray
    combine: Combine

    def corpus(self) -> dict[str, float]:
        """Return the scores of all candidates together."""
        return {key: float(value) for key, value in self.combine(self.rows.sum(axis=0)).items()}

    def each(self) -> dict[str, np.ndarray]:
        """Return the scores of each candidate: key -> (candidates,)."""
        return self.combine(self.rows)

    def take(self, chosen: np.ndarray) -> Statistics:
        """Return the statistics of some candidates; `chosen` holds their numbers."""
        return Statistics(self.rows[chosen], self.combine)


def means(scores: Mapping[str, np.ndarray]) -> Statistics:
    """Return the statistics of scores (candidates,) by key whose corpus score is their mean."""
    keys = list(scores)
    rows = np.stack([*scores.values(), np.ones(len(next(iter(scores.values()))))], axis=1)

    def combine(sums: np.ndarray) -> dict[str, np.ndarray]:
        return {key: sums[..., column] / sums[..., -1] for column, key in enumerate(keys)}

    return Statistics(rows, combine)


def best_of(statistics: Statistics, picture: np.ndarray) -> list[Statistics]:
    """Return the statistics of each picture's best candidate, one for each key with the prefix `oracle_`.

    The best candidate is chosen for each key by the candidates' scores (the oracle accuracy of Vijayakumar et al. 2016,
    arXiv:1610.02424); of equally good candidates, the first is chosen.

    Args:
        statistics: the statistics of all candidates.
        picture: (candidates,) each candidate's picture, ascending.
    """
    return [_best_in(statistics, key, scores, picture) for key, scores in statistics.each().items()]


def _best_in(statistics: Statistics, key: str, scores: np.ndarray, picture: np.ndarray) -> Statistics:
    order = np.lexsort((np.arange(len(scores)), -scores, picture))
    chosen = order[np.flatnonzero(np.append(True, np.diff(picture) > 0))]  # lexsort keeps the pictures together
    combine = statistics.combine
    return Statistics(statistics.rows[chosen], lambda sums: {f"oracle_{key}": combine(sums)[key]})
