"""Search pictures by text, ranked by log p(text | picture) - log p(text)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from captioner.generation.padding import log_mean_exp, padded
from captioner.stages.picture_index import MAX_LENGTH, PictureIndex
from captioner.storage import DataError
from captioner.text.cleaning import clean_caption
from captioner.text.english import FUNCTION_WORDS
from captioner.text.vocabulary import UNK, Vocabulary

logger = logging.getLogger(__name__)

LOOKED_AT = 200  # pictures that the decoder scores: those with the best word scores


class TextLikelihood(Protocol):
    """Computes how likely texts are for pictures, with Keras or with a graph."""

    def of_all(self, features: Any, tokens: np.ndarray) -> np.ndarray:
        """Return log p(text | picture) of texts (texts, time) from `padded`, (pictures, texts)."""


@dataclass(frozen=True)
class FoundPicture:
    """A picture that was found.

    Attributes:
        path: the picture's file.
        score: log p(text | picture) - log p(text), in nats; above 0, the text fits it better than an average picture.
        caption: the model's caption.
    """

    path: Path
    score: float
    caption: str


def encode_text(text: str, vocabulary: Vocabulary) -> list[int]:
    """Return a text's numbers from `<start>` to `<end>`; words that the model does not know are left out and logged.

    Raises:
        DataError: the model knows none of the words.
    """
    words = clean_caption(text, vocabulary.rules)
    if vocabulary.merges is not None:
        return vocabulary.encode(words)
    known = [word for word, number in zip(words, vocabulary.encode(words)[1:-1], strict=False) if number != UNK]
    if not known:
        raise DataError(f"{text!r}: the model knows none of these words; use other words")
    for word in dict.fromkeys(words):
        if word not in known:
            logger.warning(f"{word!r} is not in the model's vocabulary and is ignored")
    return vocabulary.encode(known)


def find(
    likelihood: TextLikelihood,
    vocabulary: Vocabulary,
    indexes: Sequence[PictureIndex],
    text: str,
    count: int = 10,
    looked_at: int = LOOKED_AT,
) -> list[FoundPicture]:
    """Return the pictures that a text fits best, best first.

    The search has two stages: all pictures are ranked by the word probabilities in the index, and the decoder then
    scores the whole text for the best of them.

    Args:
        likelihood: of the captioner that the indexes were made with.
        vocabulary: of the same captioner.
        indexes: of one or more folders.
        text: a description.
        count: number of pictures to return.
        looked_at: number of pictures that the decoder scores.

    Raises:
        DataError: the model knows none of the words.
    """
    numbers = encode_text(text, vocabulary)
    tokens = padded([numbers], MAX_LENGTH)  # (1, time)
    telling = [number for number in dict.fromkeys(numbers[1:-1]) if vocabulary.words[number] not in FUNCTION_WORDS]
    owner = np.concatenate([np.full(len(index), which) for which, index in enumerate(indexes)])
    place = np.concatenate([np.arange(len(index)) for index in indexes])
    cheap = np.concatenate([index.word_scores(telling or numbers[1:-1]) for index in indexes])
    best = np.argsort(-cheap, kind="stable")[: max(looked_at, count)]
    features = np.concatenate([indexes[owner[row]].features.at([place[row]]) for row in best])
    background = np.concatenate([index.features.at(index.background()) for index in indexes])
    usual = float(log_mean_exp(likelihood.of_all(background, tokens), axis=0)[0])  # log p(text)
    scores = likelihood.of_all(features, tokens)[:, 0] - usual  # (pictures,)
    order = np.argsort(-scores, kind="stable")[:count]
    return [
        FoundPicture(
            indexes[owner[row]].path(int(place[row])),
            float(scores[rank]),
            str(indexes[owner[row]].captions[place[row]]),
        )
        for rank, row in ((rank, best[rank]) for rank in order)
    ]
