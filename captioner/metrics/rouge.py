"""ROUGE-L (Lin 2004), per picture and as their mean, as the COCO caption evaluation computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from captioner.metrics.matching import Candidates
from captioner.metrics.statistics import Statistics, means

BETA = 1.2  # the weight of recall


def rouge(candidates: Candidates) -> Statistics:
    """Return the statistics of ROUGE-L: `rouge_l`, for a corpus the mean over its pictures."""
    given = candidates.references.by_id
    pairs = zip(candidates.ids, candidates.tokens, strict=True)
    return means({"rouge_l": np.array([rouge_l(tokens, given[image_id]) for image_id, tokens in pairs])})


def rouge_l(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return ROUGE-L of one candidate (Lin 2004, section 3.1, equations 2 to 4).

    F = (1 + beta^2) P R / (R + beta^2 P), where P and R are the length of the longest common subsequence divided by the
    candidate's and the reference's length. The COCO evaluation uses the best P and the best R over all references.
    """
    # the evaluation splits at single spaces, so an empty caption has one empty token
    candidate = candidate or [""]
    places: dict[str, int] = {}
    for index, token in enumerate(candidate):
        places[token] = places.get(token, 0) | 1 << index
    precision = recall = 0.0
    for reference in references:
        common = _common_length(places, len(candidate), reference or [""])
        precision = max(precision, common / len(candidate))
        recall = max(recall, common / len(reference or [""]))
    if not precision:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common_length(places: Mapping[str, int], length: int, other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence of a caption of `length` tokens and `other`.

    Bit-parallel dynamic programming, one step per token of `other` (Hyyrö 2004, "Bit-parallel LCS-length computation
    revisited"): bit i of `row` is clear where the table grows from column i to i + 1.

    Args:
        places: the caption's tokens, each with the bits of its positions.
        length: the number of the caption's tokens.
        other: the tokens of the other caption.
    """
    full = (1 << length) - 1
    row = full
    for token in other:
        if held := places.get(token):
            both = row & held
            row = ((row + both) | (row - both)) & full
    return length - row.bit_count()
