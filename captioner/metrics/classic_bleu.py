"""The Flickr8k tutorials' BLEU: inflated, and here only so that a model can be compared with their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from captioner.metrics.bleu import Matches, add, match

# The tutorials' weights. The third sums to 0.9, which raises BLEU-3 further.
WEIGHTS = {
    "classic_bleu_1": (1.0, 0.0, 0.0, 0.0),
    "classic_bleu_2": (0.5, 0.5, 0.0, 0.0),
    "classic_bleu_3": (0.3, 0.3, 0.3, 0.0),
    "classic_bleu_4": (0.25, 0.25, 0.25, 0.25),
}
_START, _END = "startseq", "endseq"


def classic_bleu(
    candidates: Mapping[str, Sequence[str]], references: Mapping[str, Sequence[Sequence[str]]]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return the tutorials' four BLEU scores of the corpus and of each picture. Do not report them as BLEU.

    They are nltk's corpus_bleu without smoothing, with the start and end words kept on both sides, where they match
    always, and against references from which the `classic` rules have taken what is hard to hit.

    Args:
        candidates: image_id -> the candidate's words, cleaned by the `classic` rules.
        references: image_id -> the references' words, cleaned alike, one or more for each candidate.
    """
    framed = [[_framed(reference) for reference in references[image_id]] for image_id in candidates]
    matches = [_at_least_one(found) for found in match([_framed(words) for words in candidates.values()], framed)]
    return _scores(add(matches)), dict(zip(candidates, map(_scores, matches), strict=True))


def _framed(words: Sequence[str]) -> list[str]:
    return [_START, *words, _END]


def _at_least_one(matches: Matches) -> Matches:
    # nltk gives a candidate that is shorter than n words one n-gram, which it misses
    return matches._replace(possible=tuple(max(1, possible) for possible in matches.possible))


def _scores(matches: Matches) -> dict[str, float]:
    brevity = min(1.0, math.exp(1 - matches.closest / matches.length))
    precisions = [correct / possible for correct, possible in zip(matches.correct, matches.possible, strict=True)]
    return {
        key: brevity * math.prod(value**weight for value, weight in zip(precisions, weights, strict=True) if weight)
        for key, weights in WEIGHTS.items()
    }
