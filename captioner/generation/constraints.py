"""Constraints on captions: which words are blocked at each step of the search."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from captioner.generation.word_rules import IMPOSSIBLE, WordRules
from captioner.text.vocabulary import END, PAD

Tensor = Any


class Constraints(WordRules):
    """The blocked words of each step."""

    def blocked(self, tokens: Tensor, last: Tensor, position: Tensor) -> list[Tensor]:
        """Return the words that are blocked at this step, in addition to the forbidden ones.

        Args:
            tokens: (hypotheses, max_length) int32, `<pad>` from `position` on.
            last: (hypotheses,) int32, the previous word; `<start>` at first.
            position: scalar, the index in `tokens` of the next word.

        Returns:
            arrays (hypotheses, any) of word numbers, filled up with `<pad>`; an empty list if nothing is blocked.
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
        """Return the logits of this step; within `start`, only the logit of its next word.

        Args:
            logits: (hypotheses, words) from the decoder.
            blocked: the same logits without the words that are blocked at this step.
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
        """Return the words that would complete an n-gram for the second time: (hypotheses, max_length - n + 1)."""
        before = self.no_repeat_ngram - 1  # words of an n-gram before its last
        starts = self.max_length - before
        matches = ops.arange(starts) < position - before  # (starts,): the n-gram is complete
        matches = ops.broadcast_to(matches[None], (ops.shape(tokens)[0], starts))
        for index in range(before):
            latest = ops.take(tokens, ops.maximum(position - before + index, 0), axis=1)  # (hypotheses,)
            matches = ops.logical_and(matches, tokens[:, index : index + starts] == latest[:, None])
        return ops.where(matches, tokens[:, before:], PAD)


def block(logits: Tensor, words: list[Tensor]) -> Tensor:
    """Return the logits (hypotheses, all words), where `words`, arrays (hypotheses, any), are made impossible."""
    if not words:
        return logits
    numbers = ops.concatenate(words, axis=1)  # (hypotheses, blocked)
    rows = ops.broadcast_to(ops.arange(ops.shape(numbers)[0])[:, None], ops.shape(numbers))
    places = ops.reshape(ops.stack([rows, numbers], axis=-1), (-1, 2))
    return ops.scatter_update(logits, places, ops.full((ops.shape(places)[0],), IMPOSSIBLE, dtype=logits.dtype))
