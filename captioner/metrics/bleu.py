"""BLEU-1 to BLEU-4 (Papineni et al. 2002), corpus and per picture, as the COCO caption evaluation computes them."""

from __future__ import annotations

import numpy as np

from captioner.metrics.matching import Candidates
from captioner.metrics.ngrams import ORDERS
from captioner.metrics.statistics import Statistics

# From the evaluation code: they keep the score of a caption without matches at zero, and replace smoothing per picture.
_TINY, _SMALL = 1e-15, 1e-9

# The columns of the result of `match`.
CORRECT, POSSIBLE, LENGTH, CLOSEST = slice(0, ORDERS), slice(ORDERS, 2 * ORDERS), 2 * ORDERS, 2 * ORDERS + 1


def match(candidates: Candidates) -> np.ndarray:
    """Compare each candidate with its references; return the counts for BLEU, (candidates, 10).

    The columns are: for each order, the candidate's n-grams that also are in its references, each counted at most as
    often as in the reference with the most occurrences (Papineni et al. 2002, section 2.1); for each order, all n-grams
    of the candidate; the candidate's words; the words of the reference with the closest length (the shorter one of two
    that are equally close).
    """
    lengths, found = candidates.counted
    rows = np.zeros((len(candidates), 2 * ORDERS + 2))
    for order, mine in enumerate(found):
        shared = candidates.shared(order)
        most = np.zeros_like(mine.times)
        np.maximum.at(most, shared.mine, candidates.references.counted[1][order].times[shared.theirs])
        rows[:, order] = np.bincount(mine.caption, np.minimum(mine.times, most), len(candidates))
    rows[:, POSSIBLE] = np.maximum(0, lengths[:, None] - np.arange(ORDERS))
    rows[:, LENGTH], rows[:, CLOSEST] = lengths, _closest(candidates, lengths)
    return rows


def _closest(candidates: Candidates, lengths: np.ndarray) -> np.ndarray:
    theirs = candidates.references.counted[0][candidates.pair_reference]  # (pairs,)
    beyond = int(theirs.max(initial=0)) + 1
    ranked = abs(theirs - lengths[candidates.pair_candidate]) * beyond + theirs
    first = np.searchsorted(candidates.pair_candidate, np.arange(len(candidates)))
    return np.minimum.reduceat(ranked, first) % beyond


def bleu(candidates: Candidates) -> Statistics:
    """Return the statistics of BLEU-1 to BLEU-4: `bleu_1` ... `bleu_4`.

    BLEU-N = BP exp(1/N sum_n log p_n), BP = exp(1 - r/c) if the candidates (c words) are shorter than their closest
    references (r words) (Papineni et al. 2002, section 2.3).
    """
    return Statistics(match(candidates), _scores)


def _scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    ratio = (sums[..., LENGTH] + _TINY) / (sums[..., CLOSEST] + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    product = np.cumprod((sums[..., CORRECT] + _TINY) / (sums[..., POSSIBLE] + _SMALL), axis=-1)
    return {f"bleu_{order}": product[..., order - 1] ** (1 / order) * brevity for order in range(1, ORDERS + 1)}
