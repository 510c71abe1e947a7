"""Initial weights of a decoder's words: pretrained word vectors, and an output bias from word frequencies."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.text.word_vectors import read_word_vectors

logger = logging.getLogger(__name__)


def initialize_embeddings(
    decoder: CaptionDecoder,
    vocabulary: Vocabulary,
    captions: Iterable[Sequence[int]],
) -> None:
    """Set a new decoder's weights as its settings `embeddings` and `output_bias` say.

    Args:
        decoder: a decoder with new weights.
        vocabulary: its words.
        captions: the training captions as numbers, `<start>` ... `<end>`.

    Raises:
        DataError: the file of word vectors is missing, broken, or of another width.
    """
    config = decoder.config
    if config.embeddings is not None:
        vectors, found = read_word_vectors(config.embeddings, vocabulary.words, config.embedding_size)
        decoder.words.begin_with(vectors, found)
        missing = [word for word, there in zip(vocabulary.words, found, strict=True) if not there]
        missing = [word for word in missing if word not in SPECIALS]
        few = ", ".join(missing[:5])
        logger.info(
            f"{config.embeddings}: has vectors for {found.sum()} words and lacks {len(missing)}"
            + (f" (most frequent: {few}), which start at random" if missing else "")
        )
    if config.output_bias == "frequency":
        decoder.words.bias_towards(log_frequencies(captions, len(vocabulary)))


def log_frequencies(captions: Iterable[Sequence[int]], words: int) -> np.ndarray:
    """Return the natural logarithm of each word's share of all predicted words, (words,) float32.

    One is added to every count (Laplace smoothing), so that words that are never predicted get a small share.
    """
    counts = np.ones(words)
    for caption in captions:
        np.add.at(counts, caption[1:], 1)
    return np.log(counts / counts.sum()).astype("float32")
