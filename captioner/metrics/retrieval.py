"""Retrieval scores: how often the correct item is among the first few of a ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEPTHS = (1, 5, 10)


def recalls(ranks: Sequence[int] | np.ndarray, prefix: str) -> dict[str, float]:
    """Return recall at 1, 5 and 10 and the median rank of the correct items.

    Args:
        ranks: (queries,) the rank of the correct item, from 1 on; 0 if it was not ranked.
        prefix: prefix of the keys.
    """
    found = np.asarray(ranks)
    at = {f"{prefix}_r{depth}": float(((found > 0) & (found <= depth)).mean()) for depth in DEPTHS}
    return {**at, f"{prefix}_median_rank": float(np.median(np.where(found > 0, found, found.max(initial=0) + 1)))}


def ranks_of(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the rank, from 1 on, of the correct column in each row; ties count against it.

    Args:
        scores: (queries, candidates), higher is better; minus infinity for candidates that were not scored.
        right: (queries,) the correct columns.
    """
    own = scores[np.arange(len(scores)), right][:, None]
    better = (scores >= own).sum(axis=1)
    return np.where(np.isfinite(own[:, 0]), better, 0)
