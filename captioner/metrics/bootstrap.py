"""Confidence intervals of scores, and tests whether two systems differ by more than chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from captioner.metrics.statistics import Statistics

RESAMPLES = 1000
TRIALS = 10_000
LEVEL = 0.95
AT_ONCE = 2**22  # numbers drawn at a time

# Differences that are equal except for rounding must not count as smaller.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """Two systems' scores in one metric, on the same pictures.

    Attributes:
        first: score of the first system.
        second: score of the second.
        low: lower end of the confidence interval of second - first.
        high: its upper end.
        p: how often a difference at least as large occurs if the two systems' captions are swapped at random, picture
            by picture.
    """

    first: float
    second: float
    low: float
    high: float
    p: float


def intervals(
    statistics: Sequence[Statistics], resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return each score's confidence interval: key -> (low, high), the percentiles of the bootstrap.

    The pictures are resampled with replacement (Koehn 2004, "Statistical significance tests for machine translation
    evaluation", section 3). CIDEr-D's document frequencies stay those of all pictures.

    Args:
        statistics: the metrics' statistics, all over the same pictures.
        resamples: the number of resamples.
        level: the share of the resamples that are in the interval.
        seed: seed of the resampling; the same seed gives the same intervals.
    """
    rows = _together(statistics)
    drawn = _scores(statistics, _sums(rows, resamples, seed, _resample))
    return {key: _percentiles(values, level) for key, values in drawn.items()}


def differences(
    first: Sequence[Statistics],
    second: Sequence[Statistics],
    resamples: int = RESAMPLES,
    trials: int = TRIALS,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compare two systems over the same pictures, in the same order.

    The interval is the paired bootstrap's; p is that of approximate randomization, two-sided (Noreen 1989; Riezler and
    Maxwell 2005, "On some pitfalls in automatic evaluation and significance testing for MT"): (c + 1) /
    (trials + 1), where c counts the trials with a difference at least as large.

    Args:
        first, second: the two systems' statistics of the same metrics.
        resamples: the number of resamples for the interval.
        trials: the number of random swaps for p.
        level: the share of the resamples that are in the interval.
        seed: seed of the random numbers.
    """
    one, two = _together(first), _together(second)
    both = np.concatenate([one, two], axis=1)
    sums = _sums(both, resamples, seed, _resample)
    width = one.shape[1]
    before, after = _scores(first, sums[:, :width]), _scores(second, sums[:, width:])
    moved = _sums(two - one, trials, seed, _exchange)  # the gain of the first system and the loss of the second
    mixed, others = _scores(first, one.sum(axis=0) + moved), _scores(second, two.sum(axis=0) - moved)
    found = {}
    for key, score in _scores(first, one.sum(axis=0)).items():
        other = _scores(second, two.sum(axis=0))[key]
        larger = abs(others[key] - mixed[key]) >= abs(other - score) - _ROUNDING
        low, high = _percentiles(after[key] - before[key], level)
        found[key] = Difference(float(score), float(other), low, high, float((larger.sum() + 1) / (trials + 1)))
    return found


def _together(statistics: Sequence[Statistics]) -> np.ndarray:
    """Return the statistics of all metrics side by side, (pictures, columns), so that all use the same resamples."""
    return np.concatenate([each.rows for each in statistics], axis=1)


def _scores(statistics: Sequence[Statistics], sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores by key from sums (..., columns) of `_together`'s rows."""
    ends = np.cumsum([each.rows.shape[1] for each in statistics])[:-1]
    parts = zip(statistics, np.split(sums, ends, axis=-1), strict=True)
    return {key: values for each, part in parts for key, values in each.combine(part).items()}


def _sums(
    rows: np.ndarray, draws: int, seed: int, draw: Callable[[np.random.Generator, int, int], np.ndarray]
) -> np.ndarray:
    """Return the sums of `rows` (pictures, columns), weighted by each draw: (draws, columns)."""
    random = np.random.default_rng(seed)
    step = max(1, AT_ONCE // len(rows))
    return np.concatenate([draw(random, min(step, draws - done), len(rows)) @ rows for done in range(0, draws, step)])


def _resample(random: np.random.Generator, draws: int, pictures: int) -> np.ndarray:
    """Return how often each picture is in a resample of the same size: (draws, pictures)."""
    drawn = random.integers(0, pictures, (draws, pictures))
    drawn += pictures * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * pictures).reshape(draws, pictures).astype(float)


def _exchange(random: np.random.Generator, draws: int, pictures: int) -> np.ndarray:
    """Return 1 where a picture's captions are swapped, 0 elsewhere: (draws, pictures)."""
    bits = np.frombuffer(random.bytes((draws * pictures + 7) // 8), np.uint8)
    return np.unpackbits(bits, count=draws * pictures).reshape(draws, pictures).astype(float)


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
