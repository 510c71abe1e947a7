"""The result of captioning. Imports no Keras: captioning with onnxruntime returns the same type."""

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
        text: the words joined with spaces, or the text that the pieces of words form.
        tokens: the words or pieces.
        log_prob: natural logarithm of its probability under the model, including `<end>`.
        attention: (tokens, regions) the attention weights of each word, if the decoder has attention.
        confidence: the probability that the caption is good, from 0 to 1: see captioner.metrics.calibration. None if
            the captioner has no calibration.
        score: the value that ranks captions: log_prob normalized by length, see GenerationConfig.normalization, plus
            the weighted consensus, see GenerationConfig.consensus.
        consensus: mean CIDEr-D, 0 to 10, against the captions of similar training pictures; None if the captioner has
            none.
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    attention: np.ndarray | None = None
    confidence: float | None = None
    score: float | None = None
    consensus: float | None = None


class Scoring(Protocol):
    """The part of a search that ranks its captions."""

    def score(self, log_prob: float, length: int) -> float:
        """Return the score that ranks a finished caption of `length` words."""
        ...


def captions_of(result: dict[str, np.ndarray], row: int, vocabulary: Vocabulary, search: Scoring) -> list[Caption]:
    """Return the captions of picture number `row` from the result of a search, best first, without impossible ones."""
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
