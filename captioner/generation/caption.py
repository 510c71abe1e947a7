"""What captioning gives. Imports no Keras: the way through onnxruntime gives the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from captioner.generation.word_rules import IMPOSSIBLE
from captioner.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Caption:
    """A generated caption.

    Attributes:
        text: the words with spaces between them, or what the pieces of words make.
        tokens: the words or pieces.
        log_prob: natural logarithm of its probability under the model, `<end>` included.
        attention: (tokens, regions) the weights of each word over the picture's regions, where the decoder has them.
        confidence: how good the caption is likely to be, from 0 to 1: see captioner.metrics.calibration. None where the
            captioner was trained without.
        score: what the search ranks it by: log_prob made comparable over lengths, see GenerationConfig.normalization.
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    attention: np.ndarray | None = None
    confidence: float | None = None
    score: float | None = None


class Scoring(Protocol):
    """A search, as far as its captions need it."""

    def score(self, log_prob: float, length: int) -> float:
        """Return what a finished caption of `length` words is ranked by."""
        ...


def captions_of(result: dict[str, np.ndarray], row: int, vocabulary: Vocabulary, search: Scoring) -> list[Caption]:
    """Return the captions of picture number `row` of what a search found, best first; impossible ones are left out."""
    captions = []
    for rank in range(result["tokens"].shape[1]):
        log_prob = float(result["log_probs"][row, rank])
        if log_prob < IMPOSSIBLE / 2:
            break
        tokens = vocabulary.decode(result["tokens"][row, rank])
        attention = result["attention"][row, rank, : len(tokens)] if "attention" in result else None
        score = search.score(log_prob, int(result["lengths"][row, rank]))
        captions.append(Caption(vocabulary.to_text(tokens), tuple(tokens), log_prob, attention, score=score))
    return captions
