"""The sets of required words that a caption may contain so far; each set has a beam. Needs no Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from captioner.generation.word_rules import IMPOSSIBLE
from captioner.text.vocabulary import END


class SetCandidates(NamedTuple):
    """Where the candidates of each set come from; all arrays are (sets, candidates).

    Attributes:
        parents: the places of the parent hypotheses.
        columns: the column of the word among the parent's candidate words.
        possible: whether the candidate exists.
    """

    parents: np.ndarray
    columns: np.ndarray
    possible: np.ndarray


class WordSets:
    """The sets of constrained beam search; see captioner.generation.constrained.

    A set is a number whose bits are the required words that it contains. The place of a hypothesis among all hypotheses
    of a picture is `set * width + rank`.

    Args:
        wanted: the numbers of each required word's alternatives.
        words: the size of the vocabulary.
        width: the width of each set's beam.
    """

    def __init__(self, wanted: Sequence[Sequence[int]], words: int, width: int) -> None:
        self.count, self.width = 1 << len(wanted), width
        pairs = [(bit, number) for bit, numbers in enumerate(wanted) for number in numbers]
        self.numbers = np.array([number for _, number in pairs], np.int32)  # (alternatives,)
        missing = np.array([[not held >> bit & 1 for bit, _ in pairs] for held in range(self.count)])
        stay = np.zeros((self.count, words), np.float32)
        for held in range(self.count):
            stay[held, self.numbers[missing[held]]] = IMPOSSIBLE
            stay[held, END] = 0.0 if held == self.count - 1 else IMPOSSIBLE
        self._stay = np.repeat(stay, width, axis=0)
        # the set from which an alternative leads into a set: the set without its word, (sets, alternatives)
        self._come_from = np.array([[held & ~(1 << bit) for bit, _ in pairs] for held in range(self.count)])
        self._can_come = np.array([[bool(held >> bit & 1) for bit, _ in pairs] for held in range(self.count)])

    @property
    def whole(self) -> np.ndarray:
        """Which places have all words: (sets x width,)."""
        return np.arange(self.count * self.width) >= (self.count - 1) * self.width

    def staying(self, parents: int) -> np.ndarray:
        """Return a mask to add to the logits that keeps hypotheses in their sets: (parents, words).

        It excludes words that lead to another set, and the end of captions that lack a required word. A single parent,
        before the first word, contains none of the required words.
        """
        return self._stay[:1] if parents == 1 else self._stay

    def candidates(self, parents: int, count: int) -> tuple[SetCandidates, SetCandidates]:
        """Return the candidates that stay in a set, among `count` words per parent, and those that enter it."""
        width = 1 if parents == 1 else self.width
        rank, column = np.divmod(np.arange(width * count), count)
        held = np.arange(self.count)[:, None]
        there = (held == 0) if parents == 1 else np.ones_like(held, bool)
        columns = np.broadcast_to(column, (self.count, len(column)))
        own = SetCandidates(np.where(there, held * width, 0) + rank, columns, np.broadcast_to(there, columns.shape))
        alternatives = len(self.numbers)
        rank, column = np.divmod(np.arange(width * alternatives), alternatives)
        before = self._come_from[:, column]  # (sets, width x alternatives)
        exists = self._can_come[:, column] & ((before == 0) | (parents > 1))
        places = np.where(exists, before * width, 0) + rank
        return own, SetCandidates(places, np.broadcast_to(column, before.shape), exists)
