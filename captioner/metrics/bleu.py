"""BLEU-1 to BLEU-4 (Papineni et al. 2002), corpus and per picture, as the COCO caption evaluation computes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from captioner.metrics.ngrams import ORDERS, count_ngrams, flatten

# The evaluation code's own: they keep a caption that matches nothing at zero and stand in for smoothing per picture.
_TINY, _SMALL = 1e-15, 1e-9


class Matches(NamedTuple):
    """What BLEU needs to know about one candidate, or summed over a corpus.

    Attributes:
        correct: by order, n-grams of the candidate that its references hold, each counted at most as often as in the
            reference that holds it most often (Papineni et al. 2002, section 2.1).
        possible: by order, n-grams of the candidate.
        length: words of the candidate.
        closest: words of the reference whose length is closest, the shorter of two equally close ones.
    """

    correct: tuple[int, ...]
    possible: tuple[int, ...]
    length: int
    closest: int


def match(candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> list[Matches]:
    """Compare each tokenized candidate with its tokenized references (one or more)."""
    captions, owner = flatten(references)
    lengths, found = count_ngrams(candidates)
    reference_lengths, given = count_ngrams(captions)
    correct = np.zeros((len(candidates), ORDERS), int)
    for order, (mine, theirs) in enumerate(zip(found, given, strict=True)):
        shared, entry = mine.find(theirs.key, owner[theirs.caption])
        most = np.zeros_like(mine.times)
        np.maximum.at(most, entry, theirs.times[shared])
        correct[:, order] = np.bincount(mine.caption, np.minimum(mine.times, most), len(candidates))
    possible = np.maximum(0, lengths[:, None] - np.arange(ORDERS))  # (candidates, orders)
    by_closeness = np.lexsort((reference_lengths, abs(reference_lengths - lengths[owner]), owner))
    closest = reference_lengths[by_closeness[np.searchsorted(owner, np.arange(len(candidates)))]]
    rows = zip(correct.tolist(), possible.tolist(), lengths.tolist(), closest.tolist(), strict=True)
    return [Matches(tuple(right), tuple(all_), length, close) for right, all_, length, close in rows]


def add(matches: Sequence[Matches]) -> Matches:
    """Return the matches of a whole corpus: corpus BLEU is taken from sums, not from a mean."""
    correct, possible, length, closest = zip(*matches, strict=True)
    return Matches(
        tuple(map(sum, zip(*correct, strict=True))),
        tuple(map(sum, zip(*possible, strict=True))),
        sum(length),
        sum(closest),
    )


def bleu(
    candidates: Mapping[str, Sequence[str]], references: Mapping[str, Sequence[Sequence[str]]]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return BLEU-1 to BLEU-4 of the corpus and of each picture, as fractions.

    BLEU-N = BP exp(1/N sum_n log p_n), BP = exp(1 - r/c) where the candidates are shorter (c words) than their closest
    references (r words) (Papineni et al. 2002, section 2.3).

    Args:
        candidates: image_id -> the tokenized candidate, one or more.
        references: image_id -> the tokenized references, one or more for each candidate.
    """
    matches = match(list(candidates.values()), [references[image_id] for image_id in candidates])
    return _scores(add(matches)), dict(zip(candidates, map(_scores, matches), strict=True))


def _scores(matches: Matches) -> dict[str, float]:
    ratio = (matches.length + _TINY) / (matches.closest + _SMALL)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = {}, 1.0
    for order, (correct, possible) in enumerate(zip(matches.correct, matches.possible, strict=True), start=1):
        product *= (correct + _TINY) / (possible + _SMALL)
        scores[f"bleu_{order}"] = product ** (1 / order) * brevity
    return scores
