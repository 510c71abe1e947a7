"""The words that settings keep out of captions, by their numbers. Imports no Keras: every search reads them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from captioner.generation.config import GenerationConfig
from captioner.text.vocabulary import END, PAD, START, UNK, Vocabulary

logger = logging.getLogger(__name__)

IMPOSSIBLE = -1e9  # a log-probability below any real one; finite, so that sums and comparisons stay defined

# Words after which an English caption goes on: articles, prepositions, conjunctions, possessives, auxiliaries.
ENGLISH_ENDINGS = (
    *("a", "an", "the", "this", "that", "these", "those", "his", "her", "its", "their", "my", "your", "our"),
    *("of", "in", "on", "at", "with", "without", "to", "from", "for", "by", "into", "onto", "over", "under", "through"),
    *("across", "along", "behind", "beside", "between", "against", "around", "near", "next", "towards", "toward"),
    *("above", "below", "during", "among", "inside", "as", "and", "or", "but", "while", "who", "which", "whose"),
    *("is", "are", "was", "were", "be", "being", "been", "has", "have", "very", "some", "several", "there"),
)


@dataclass(frozen=True)
class WordRules:
    """The words that are out, by their numbers.

    Attributes:
        forbidden: are never emitted.
        endings: no caption ends with one of them, be it for `<end>` or for want of room.
        no_repeat_ngram, min_length, max_length: see GenerationConfig.
    """

    forbidden: tuple[int, ...]
    endings: tuple[int, ...]
    no_repeat_ngram: int
    min_length: int
    max_length: int

    @classmethod
    def of(cls, config: GenerationConfig, vocabulary: Vocabulary | None) -> Self:
        """Translate a configuration's words.

        Args:
            config: names words.
            vocabulary: numbers them; may be None where the configuration names none.

        Raises:
            ValueError: there are words and no vocabulary, or `<end>` is banned.

        Each banned word or bad ending that the user wrote and the vocabulary lacks is logged as a warning.
        """
        english = config.bad_endings == "english"
        endings = ENGLISH_ENDINGS if english else config.bad_endings
        if vocabulary is None and (config.banned_words or endings):
            raise ValueError("banned_words and bad_endings need the vocabulary")
        known = {} if vocabulary is None else {word: number for number, word in enumerate(vocabulary.words)}
        banned = _numbers(config.banned_words, known, "banned_words")
        if END in banned:
            raise ValueError("banned_words: <end> ends captions and cannot be banned")
        never = {PAD, START} if config.allow_unk else {PAD, START, UNK}
        return cls(
            forbidden=tuple(sorted(never | banned)),
            endings=tuple(sorted(_numbers(endings, known, None if english else "bad_endings"))),
            no_repeat_ngram=config.no_repeat_ngram,
            min_length=config.min_length,
            max_length=config.max_length,
        )


def _numbers(words: Iterable[str], known: dict[str, int], setting: str | None) -> set[int]:
    """Return the numbers of the known ones among `words`; warn of the others if the user wrote them as `setting`."""
    numbers = set()
    for word in words:
        if word in known:
            numbers.add(known[word])
        elif setting is not None:
            logger.warning(f"{setting}: {word!r} is not in the vocabulary")
    return numbers
