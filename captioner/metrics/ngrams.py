"""N-grams of many tokenized captions at once, counted as the COCO caption evaluation counts them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

ORDERS = 4

_UNBREAKABLE = "\u00a0"
_PER_WORD = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: mixes the words' hashes in an n-gram's key


class NGrams(NamedTuple):
    """The n-grams of one order in numbered captions; each distinct n-gram of a caption is an entry.

    An n-gram is a 64-bit key made from its words' hashes. Equal n-grams have equal keys within a process; with ten
    million different n-grams, two share a key once in a million runs.

    Attributes:
        key: (distinct,) the n-grams of all captions, ascending.
        caption: (entries,) the caption's number, ascending.
        ngram: (entries,) the n-gram's index in `key`, ascending within a caption.
        times: (entries,) how often the caption contains it.
    """

    key: np.ndarray
    caption: np.ndarray
    ngram: np.ndarray
    times: np.ndarray

    def number(self, key: np.ndarray) -> np.ndarray:
        """Return the indices of n-grams (n,) in `self.key`: (n,), -1 for n-grams in no caption."""
        if not len(self.key):
            return np.full(len(key), -1)
        near = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[near] == key, near, -1)


def count_ngrams(captions: Sequence[Sequence[str]]) -> tuple[np.ndarray, tuple[NGrams, ...]]:
    """Return the captions' lengths in words (captions,) and their n-grams of 1 to 4 words.

    A token with a non-breaking space ("1 1/2" is one token) counts as two words here, but not for ROUGE-L: the COCO
    evaluation joins the tokens and splits the line again, here at any white space, for ROUGE-L at plain spaces.
    """
    words = [_split(tokens) for tokens in captions]
    lengths = np.array([len(caption) for caption in words], int)
    caption = np.repeat(np.arange(len(words)), lengths)
    hashes = np.fromiter(map(hash, chain.from_iterable(words)), np.int64, len(caption)).view(np.uint64)
    orders, key = [], np.zeros(len(hashes), np.uint64)
    for order in range(ORDERS):
        last = hashes[order:]
        key = key[: len(last)] * _PER_WORD + last
        inside = caption[: len(last)] == caption[order:]  # n-grams do not cross captions
        orders.append(_count(caption[order:][inside], key[inside]))
    return lengths, tuple(orders)


def _split(tokens: Sequence[str]) -> Sequence[str]:
    line = " ".join(tokens)
    return line.split() if _UNBREAKABLE in line else tokens


def _count(caption: np.ndarray, key: np.ndarray) -> NGrams:
    distinct, ngram = np.unique(key, return_inverse=True)
    several = max(1, len(distinct))
    place, times = _distinct(caption * several + ngram)
    return NGrams(distinct, *np.divmod(place, several), times)


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct integers, ascending, and their counts; faster than np.unique for large arrays."""
    values = np.sort(values)
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
    return values[first], np.diff(np.append(first, len(values)))


def document_frequencies(ngrams: NGrams, document: np.ndarray) -> np.ndarray:
    """Return how many documents contain each n-gram of `ngrams.key`: (distinct,).

    Args:
        ngrams: the captions' n-grams.
        document: (captions,) the number of each caption's document.
    """
    several = max(1, len(ngrams.key))
    held, _ = _distinct(document[ngrams.caption] * several + ngrams.ngram)
    return np.bincount(held % several, minlength=len(ngrams.key))


def flatten(several: Sequence[Sequence[Sequence[str]]]) -> tuple[list[Sequence[str]], np.ndarray]:
    """Return the captions of all groups in one list, and (captions,) the number of each caption's group."""
    owners = np.repeat(np.arange(len(several)), [len(group) for group in several])
    return [caption for group in several for caption in group], owners
