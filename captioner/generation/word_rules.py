"""The numbers of the words that settings exclude from captions or require in them. Needs no Keras."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self, cast

import numpy as np

from captioner.generation.config import GenerationConfig
from captioner.text.bpe import BEGINS
from captioner.text.cleaning import clean_caption
from captioner.text.english import ENGLISH_ENDINGS
from captioner.text.vocabulary import END, PAD, SPECIALS, START, UNK, Vocabulary

logger = logging.getLogger(__name__)

IMPOSSIBLE = -1e9  # a log-probability below any real one; finite, so that sums and comparisons stay defined

_noted: weakref.WeakKeyDictionary[Vocabulary, set[tuple[str, str]]] = weakref.WeakKeyDictionary()

Numbers = int | np.ndarray  # the number of the first picture (the others follow), or one number for each


@dataclass(frozen=True)
class WordRules:
    """The settings' words, by their numbers.

    Attributes:
        forbidden: words that are never emitted.
        endings: words that no caption ends with, neither before `<end>` nor at max_length.
        no_repeat_ngram, min_length, max_length: see GenerationConfig.
        start: the words that every caption begins with.
        must_include: for each required word, the alternatives that satisfy it.
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
        """Convert a configuration's words to numbers.

        Args:
            config: the configuration.
            vocabulary: the vocabulary; may be None if the configuration names no words.

        Raises:
            ValueError: there are words but no vocabulary, `<end>` is banned, or required words are unknown, banned or
                too long.

        Banned words and bad endings that the user gave and that are not in the vocabulary are logged as warnings.
        """
        given = (config.bad_endings,) if isinstance(config.bad_endings, str) else config.bad_endings
        english = any(word.lower() == "english" for word in given)  # the list's name, also beside other words
        own = [word for word in given if word.lower() != "english"]
        if vocabulary is None and (config.banned_words or given or config.start or config.must_include):
            raise ValueError("banned_words, bad_endings, start and must_include need the vocabulary")
        known = {} if vocabulary is None else _known(vocabulary)
        # Without a vocabulary there are no words, so none is noted.
        banned, endings = (
            _numbers(words, known, partial(_note_unknown, cast(Vocabulary, vocabulary), setting))
            for setting, words in (("banned_words", config.banned_words), ("bad_endings", own))
        )
        if english:
            endings |= _numbers(ENGLISH_ENDINGS, known)
        if END in banned:
            raise ValueError("banned_words: <end> ends captions and cannot be banned")
        never = {PAD, START} if config.allow_unk else {PAD, START, UNK}
        return cls(
            forbidden=tuple(sorted(never | banned)),
            endings=tuple(sorted(endings)),
            no_repeat_ngram=config.no_repeat_ngram,
            min_length=config.min_length,
            max_length=config.max_length,
            start=_start(config, vocabulary, never | banned),
            must_include=_needed([_one_of(words, known, never | banned) for words in config.must_include]),
        )


def _known(vocabulary: Vocabulary) -> dict[str, int]:
    """Return word -> number. Of a vocabulary of pieces, these are the words that one piece begins with."""
    words = enumerate(vocabulary.words)
    if vocabulary.merges is None:
        return {word: number for number, word in words}
    begins = {word.removeprefix(BEGINS): number for number, word in words if word.startswith(BEGINS)}
    return {**begins, **{word: number for number, word in enumerate(SPECIALS)}}


def _numbers(words: Iterable[str], known: Mapping[str, int], note: Callable[[str], None] = lambda _: None) -> set[int]:
    """Return the numbers of the known `words`, also in lower case; call `note` with each of the others."""
    numbers = set()
    for word in words:
        number = known.get(word, known.get(word.lower()))
        if number is None:
            note(word)
        else:
            numbers.add(number)
    return numbers


def _note_unknown(vocabulary: Vocabulary, setting: str, word: str) -> None:
    """Log, once for a vocabulary, that it lacks a word: a setting is read for each search that is made."""
    noted = _noted.setdefault(vocabulary, set())
    if (setting, word) not in noted:
        noted.add((setting, word))
        logger.warning(f"{setting}: {word!r} is not in the vocabulary")


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
            raise ValueError(f"start: {word!r} is {why}, so no caption can begin with {config.start!r}")
    return tuple(numbers)


def _needed(required: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Return the required words without those that another one implies, as "dog" implies "dog|puppy"."""
    different = list(dict.fromkeys(required))
    return tuple(one for one in different if not any(set(other) < set(one) for other in different))


def _one_of(words: str, known: Mapping[str, int], forbidden: set[int]) -> tuple[int, ...]:
    """Return the numbers of those alternatives, separated by |, that are in the vocabulary."""
    given = [word.strip().lower() for word in words.split("|") if word.strip()]
    for word in given:
        if known.get(word) in forbidden:
            raise ValueError(f"must_include: {word!r} is also banned; choose one")
    if found := tuple(dict.fromkeys(known[word] for word in given if word in known)):
        return found
    phrase = "; name single words" if " " in words.strip() else ""
    raise ValueError(f"must_include: {words!r} is not in the vocabulary, so the model cannot write it{phrase}")
