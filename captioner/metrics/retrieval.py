"""Retrieval: how often the right one is among the first few of a ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEPTHS = (1, 5, 10)


def recalls(ranks: Sequence[int] | np.ndarray, prefix: str) -> dict[str, float]:
    """Return recall at 1, 5 and 10 and the median rank of the right ones.

    Args:
        ranks: (queries,) the rank of the right one, from 1 on; 0 where it was not among those that were looked at.
        prefix: begins the keys.
    """
    found = np.asarray(ranks)
    at = {f"{prefix}_r{depth}": float(((found > 0) & (found <= depth)).mean()) for depth in DEPTHS}
    return {**at, f"{prefix}_median_rank": float(np.median(np.where(found > 0, found, found.max(initial=0) + 1)))}


def ranks_of(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the rank, from 1 on, of one right column in each row; ties are counted against it.

    Args:
        scores: (queries, candidates), the higher the better; minus infinity for what was not looked at.
        right: (queries,) columns.
    """
    own = scores[np.arange(len(scores)), right][:, None]
    better = (scores >= own).sum(axis=1)
    return np.where(np.isfinite(own[:, 0]), better, 0)
