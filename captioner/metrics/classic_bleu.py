"""The BLEU of the Flickr8k tutorials: inflated, and only for comparison with the tutorials' numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captioner.metrics.bleu import CLOSEST, CORRECT, LENGTH, POSSIBLE, match
from captioner.metrics.matching import Candidates, References
from captioner.metrics.statistics import Statistics

# The tutorials' weights. The third sums to 0.9, which raises BLEU-3 further.
WEIGHTS = {
    "classic_bleu_1": (1.0, 0.0, 0.0, 0.0),
    "classic_bleu_2": (0.5, 0.5, 0.0, 0.0),
    "classic_bleu_3": (0.3, 0.3, 0.3, 0.0),
    "classic_bleu_4": (0.25, 0.25, 0.25, 0.25),
}
_START, _END = "startseq", "endseq"


def classic_bleu(candidates: Candidates) -> Statistics:
    """Return the statistics of the tutorials' four BLEU scores. Do not report them as BLEU.

    They are nltk's corpus_bleu without smoothing. The start and end words stay on both sides, where they always match,
    and the `classic` rules have removed the words from the references that are hard to match.

    Args:
        candidates: cleaned with the `classic` rules, like their references.
    """
    plain = candidates.references.by_id
    given = {image_id: [_framed(words) for words in several] for image_id, several in plain.items()}
    rows = match(Candidates(References(given), candidates.ids, [_framed(words) for words in candidates.tokens]))
    rows[:, POSSIBLE] = np.maximum(1, rows[:, POSSIBLE])  # nltk counts one n-gram, not matched, for a short candidate
    return Statistics(rows, _scores)


def _framed(words: Sequence[str]) -> list[str]:
    return [_START, *words, _END]


def _scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    brevity = np.exp(np.minimum(0.0, 1 - sums[..., CLOSEST] / sums[..., LENGTH]))
    precisions = sums[..., CORRECT] / sums[..., POSSIBLE]
    return {key: brevity * np.prod(precisions ** np.array(weights), axis=-1) for key, weights in WEIGHTS.items()}
