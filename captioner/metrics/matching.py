"""Candidates with the references of their pictures, and their shared n-grams, computed once for all metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from captioner.metrics.ngrams import NGrams, count_ngrams, flatten


class References:
    """Tokenized references by picture; their n-grams are counted on first use.

    Attributes:
        by_id: image_id -> the picture's references, one or more.
        row: image_id -> the picture's number.
        captions: all references in one list, picture by picture.
        picture: (captions,) the number of each caption's picture.
    """

    def __init__(self, by_id: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self.by_id = by_id
        self.row = {image_id: row for row, image_id in enumerate(by_id)}
        self.captions, self.picture = flatten(list(by_id.values()))
        self._first = np.searchsorted(self.picture, np.arange(len(by_id) + 1))  # (pictures + 1,)

    @cached_property
    def counted(self) -> tuple[np.ndarray, tuple[NGrams, ...]]:
        """The captions' lengths (captions,) and n-grams; see count_ngrams."""
        return count_ngrams(self.captions)

    @cached_property
    def entries(self) -> tuple[np.ndarray, ...]:
        """For each order, (captions + 1,): the first entry of each caption's n-grams."""
        captions = np.arange(len(self.captions) + 1)
        return tuple(np.searchsorted(ngrams.caption, captions) for ngrams in self.counted[1])

    def captions_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the captions of pictures (n,) in one array, and the index of the picture that each belongs to."""
        return _ranges(self._first[rows], self._first[rows + 1])


class Shared(NamedTuple):
    """The n-grams of one order that a candidate and a reference of its picture share.

    Attributes:
        mine: (shared,) entries of the candidates' n-grams.
        theirs: (shared,) entries of the references' n-grams.
        pair: (shared,) the pair of candidate and reference.
    """

    mine: np.ndarray
    theirs: np.ndarray
    pair: np.ndarray


class Candidates:
    """Tokenized candidates with the references of their pictures. A candidate and one of its references form a pair.

    Args:
        references: the references of all pictures.
        ids: the candidates' image_ids; several candidates may share one.
        tokens: the candidates.

    Attributes:
        pair_candidate: (pairs,) the candidate's number, in ascending order.
        pair_reference: (pairs,) the reference's number.

    Raises:
        KeyError: a picture is not among the references.
    """

    def __init__(self, references: References, ids: Sequence[str], tokens: Sequence[Sequence[str]]) -> None:
        self.references, self.ids, self.tokens = references, ids, tokens
        rows = np.array([references.row[image_id] for image_id in ids], int)
        self.pair_reference, self.pair_candidate = references.captions_of(rows)
        self._shared: dict[int, Shared] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def counted(self) -> tuple[np.ndarray, tuple[NGrams, ...]]:
        """The candidates' lengths (candidates,) and n-grams; see count_ngrams."""
        return count_ngrams(self.tokens)

    def shared(self, order: int) -> Shared:
        """Return the n-grams of order + 1 words that pairs share."""
        if order not in self._shared:
            self._shared[order] = self._share(order)
        return self._shared[order]

    def _share(self, order: int) -> Shared:
        mine, theirs = self.counted[1][order], self.references.counted[1][order]
        several = len(theirs.key)
        number = theirs.number(mine.key)[mine.ngram]  # (entries,) index in the references' n-grams
        known = np.flatnonzero(number >= 0)
        place = mine.caption[known] * several + number[known]  # (known,) ascending
        first = self.references.entries[order]
        entry, pair = _ranges(first[self.pair_reference], first[self.pair_reference + 1])
        wanted = self.pair_candidate[pair] * several + theirs.ngram[entry]  # nearly ascending, so that lookups are fast
        near = np.searchsorted(place, wanted)
        found = np.flatnonzero(np.append(place, -1)[near] == wanted)
        return Shared(known[near[found]], entry[found], pair[found])


def _ranges(first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers from first[i] to end[i] - 1 for all i in one array, and the i of each number."""
    lengths = end - first
    owner = np.repeat(np.arange(len(first)), lengths)
    start = np.cumsum(lengths) - lengths
    return np.arange(len(owner)) + (first - start)[owner], owner
