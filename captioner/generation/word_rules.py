"""The words that settings keep out of captions or put in, by their numbers. Needs no Keras."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from captioner.generation.config import GenerationConfig
from captioner.text.cleaning import clean_caption
from captioner.text.english import ENGLISH_ENDINGS
from captioner.text.vocabulary import END, PAD, START, UNK, Vocabulary

logger = logging.getLogger(__name__)

IMPOSSIBLE = -1e9  # a log-probability below any real one; finite, so that sums and comparisons stay defined

Numbers = int | np.ndarray  # which of the user's pictures: the first one's, whom the others follow, or one each


@dataclass(frozen=True)
class WordRules:
    """The words that are out, by their numbers.

    Attributes:
        forbidden: are never emitted.
        endings: no caption ends with one of them, be it for `<end>` or for want of room.
        no_repeat_ngram, min_length, max_length: see GenerationConfig.
        start: what every caption begins with.
        must_include: words that a caption holds, each with the words that count as it.
    """

    forbidden: tuple[int, ...]
    endings: tuple[int, ...]
    no_repeat_ngram: int
    min_length: int
    max_length: int
    start: tuple[int, ...] = ()
    must_include: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, config: GenerationConfig, vocabulary: Vocabulary | None) -> Self:
        """Translate a configuration's words.

        Args:
            config: names words.
            vocabulary: numbers them; may be None where the configuration names none.

        Raises:
            ValueError: there are words and no vocabulary, `<end>` is banned, or what captions must hold is unknown,
                banned or too long.

        Each banned word or bad ending that the user wrote and the vocabulary lacks is logged as a warning.
        """
        english = config.bad_endings == "english"
        endings = ENGLISH_ENDINGS if english else config.bad_endings
        if vocabulary is None and (config.banned_words or endings or config.start or config.must_include):
            raise ValueError("banned_words, bad_endings, start and must_include need the vocabulary")
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
            start=_start(config, vocabulary, never | banned),
            must_include=tuple(_one_of(words, known, never | banned) for words in config.must_include),
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


def _start(config: GenerationConfig, vocabulary: Vocabulary | None, forbidden: set[int]) -> tuple[int, ...]:
    """Return the numbers of the words that captions begin with."""
    if vocabulary is None or not config.start.strip():
        return ()
    words = clean_caption(config.start, vocabulary.rules)
    numbers = vocabulary.encode(words)[1:-1]
    if len(numbers) >= config.max_length:
        raise ValueError(f"start: {config.start!r} leaves no room in captions of {config.max_length} words")
    for word, number in zip(words, numbers, strict=False):
        if number in forbidden:
            why = "not in the vocabulary" if number == UNK else "banned"
            raise ValueError(f"start: {word!r} is {why}, so that no caption can begin with {config.start!r}")
    return tuple(numbers)


def _one_of(words: str, known: dict[str, int], forbidden: set[int]) -> tuple[int, ...]:
    """Return the numbers of alternatives with | between them, those that the vocabulary has."""
    given = [word.strip().lower() for word in words.split("|") if word.strip()]
    for word in given:
        if known.get(word) in forbidden:
            raise ValueError(f"must_include: {word!r} is banned, too; choose one")
    if found := tuple(dict.fromkeys(known[word] for word in given if word in known)):
        return found
    phrase = "; name single words" if " " in words.strip() else ""
    raise ValueError(f"must_include: {words!r} is not in the vocabulary, so the model cannot write it{phrase}")
