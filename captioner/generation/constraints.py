"""What a caption may not hold, in the numbers of a vocabulary: which words are out at a step of the search."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from captioner.generation.config import GenerationConfig
from captioner.text.cleaning import clean_caption
from captioner.text.english import ENGLISH_ENDINGS
from captioner.text.vocabulary import END, PAD, START, UNK, Vocabulary

IMPOSSIBLE = -1e9  # a log-probability below any real one; finite, so that sums and comparisons stay defined

Tensor = Any
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Constraints:
    """The words that are out, by their numbers.

    Attributes:
        forbidden: are never emitted.
        endings: no caption ends with one of them, be it for `<end>` or for want of room.
        no_repeat_ngram, min_length, max_length: see GenerationConfig.
        start: what every caption begins with.
        must_include: words that a caption holds, each with what may stand for it.
    """

    forbidden: tuple[int, ...]
    endings: tuple[int, ...]
    no_repeat_ngram: int
    min_length: int
    max_length: int
    start: tuple[int, ...] = ()
    must_include: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, config: GenerationConfig, vocabulary: Vocabulary | None) -> Constraints:
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

    def blocked(self, tokens: Tensor, last: Tensor, position: Tensor) -> list[Tensor]:
        """Return the words that are out at this step beside the forbidden ones.

        Args:
            tokens: (hypotheses, max_length) int32, `<pad>` from `position` on.
            last: (hypotheses,) int32, the word before; `<start>` at first.
            position: scalar, the index in `tokens` of the next word.

        Returns:
            arrays (hypotheses, any) of numbers, `<pad>` where there is none; no array where nothing is asked for.
        """
        words = []
        no_end = position < self.min_length if self.min_length else None
        if self.endings:
            endings = ops.convert_to_tensor(self.endings, "int32")  # (endings,)
            unfinished = ops.any(last[:, None] == endings, axis=1)  # (hypotheses,)
            no_end = unfinished if no_end is None else ops.logical_or(no_end, unfinished)
            cut = ops.where(position == self.max_length - 1, endings, PAD)
            words.append(ops.broadcast_to(cut[None], (ops.shape(last)[0], len(self.endings))))
        if no_end is not None:
            words.append(ops.where(no_end, END, ops.full_like(last, PAD))[:, None])
        if 0 < self.no_repeat_ngram <= self.max_length:
            words.append(self._repeating(tokens, position))
        return words

    def begin(self, logits: Tensor, blocked: Tensor, position: Tensor) -> Tensor:
        """Return the logits at this step: while the start lasts, of its next word alone.

        Args:
            logits: (hypotheses, words) as the decoder gives them.
            blocked: the same without what is out at this step.
            position: scalar, the index of the next word.
        """
        if not self.start:
            return blocked
        forced = np.full(self.max_length, -1, np.int32)
        forced[: len(self.start)] = self.start
        word = ops.take(ops.convert_to_tensor(forced), position)
        words = ops.arange(logits.shape[-1], dtype="int32")
        return ops.where(word < 0, blocked, ops.where(words == word, logits, IMPOSSIBLE))

    def _repeating(self, tokens: Tensor, position: Tensor) -> Tensor:
        """Return the words that would end an n-gram that is there already: (hypotheses, max_length - n + 1)."""
        before = self.no_repeat_ngram - 1  # words of an n-gram before its last
        starts = self.max_length - before
        matches = ops.arange(starts) < position - before  # (starts,): the n-gram is whole
        matches = ops.broadcast_to(matches[None], (ops.shape(tokens)[0], starts))
        for index in range(before):
            latest = ops.take(tokens, ops.maximum(position - before + index, 0), axis=1)  # (hypotheses,)
            matches = ops.logical_and(matches, tokens[:, index : index + starts] == latest[:, None])
        return ops.where(matches, tokens[:, before:], PAD)


def block(logits: Tensor, words: list[Tensor]) -> Tensor:
    """Return the logits (hypotheses, all words) with those of `words`, arrays (hypotheses, any), made impossible."""
    if not words:
        return logits
    numbers = ops.concatenate(words, axis=1)  # (hypotheses, blocked)
    rows = ops.broadcast_to(ops.arange(ops.shape(numbers)[0])[:, None], ops.shape(numbers))
    places = ops.reshape(ops.stack([rows, numbers], axis=-1), (-1, 2))
    return ops.scatter_update(logits, places, ops.full((ops.shape(places)[0],), IMPOSSIBLE, dtype=logits.dtype))


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
