"""N-grams of many tokenized captions at once, counted as the COCO caption evaluation counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ORDERS = 4

# Odd 64-bit numbers (of the golden ratio and of xxHash) that spread words over an n-gram's key, captions over places.
_PER_WORD, _PER_CAPTION = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class NGrams(NamedTuple):
    """The n-grams of one order in numbered captions; each distinct one of a caption is an entry.

    An n-gram is a 64-bit key made of its words' hashes: equal n-grams have equal keys within a process, and ten million
    different ones share a key once in a million runs.

    Attributes:
        caption: (entries,) the caption's number.
        key: (entries,) the n-gram.
        times: (entries,) how often the caption holds it.
        place: (entries,) a hash of caption and key; the entries stand by rising place.
    """

    caption: np.ndarray
    key: np.ndarray
    times: np.ndarray
    place: np.ndarray

    def find(self, key: np.ndarray, caption: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look n-grams up in captions.

        Args:
            key: (n,) n-grams.
            caption: (n,) the caption in which each is looked for.

        Returns:
            which of the n were found, and the entries of those.
        """
        place = _place(key, caption)
        entry = np.minimum(np.searchsorted(self.place, place), max(0, len(self.place) - 1))
        found = np.flatnonzero(self.place[entry] == place) if len(self.place) else np.empty(0, int)
        return found, entry[found]


def count_ngrams(captions: Sequence[Sequence[str]]) -> tuple[np.ndarray, tuple[NGrams, ...]]:
    """Return the captions' lengths in words (captions,) and their n-grams of 1 to 4 words.

    A token that holds an unbreakable space ("1 1/2" is one token) counts as two words here, though not for ROUGE-L:
    the COCO evaluation joins the tokens and splits the line again, here at any white space, there at plain spaces.
    """
    words = [" ".join(tokens).split() for tokens in captions]
    lengths = np.array([len(caption) for caption in words], int)
    caption = np.repeat(np.arange(len(words)), lengths)
    hashes = np.array([hash(word) for caption in words for word in caption], np.int64).view(np.uint64)
    orders, key = [], np.zeros(len(hashes), np.uint64)
    for order in range(ORDERS):
        last = hashes[order:]
        key = key[: len(last)] * _PER_WORD + last
        inside = caption[: len(last)] == caption[order:]  # not from one caption into the next
        orders.append(_distinct(caption[order:][inside], key[inside]))
    return lengths, tuple(orders)


def _distinct(caption: np.ndarray, key: np.ndarray) -> NGrams:
    place = _place(key, caption)
    by_place = np.argsort(place)
    place = place[by_place]
    first = np.flatnonzero(np.append(True, place[1:] != place[:-1])[: len(place)])
    entry = by_place[first]
    return NGrams(caption[entry], key[entry], np.diff(np.append(first, len(place))), place[first])


def _place(key: np.ndarray, caption: np.ndarray) -> np.ndarray:
    return key + caption.astype(np.uint64) * _PER_CAPTION


def documents(ngrams: NGrams, document: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the n-grams (distinct,), by rising key, and how many documents hold each.

    Args:
        ngrams: n-grams of captions.
        document: (captions,) the document to which each caption belongs.
    """
    held = _distinct(document[ngrams.caption], ngrams.key)
    return np.unique(held.key, return_counts=True)


def flatten(several: Sequence[Sequence[Sequence[str]]]) -> tuple[list[Sequence[str]], np.ndarray]:
    """Return the captions of all groups in a row, and (captions,) the number of each one's group."""
    owners = np.repeat(np.arange(len(several)), [len(group) for group in several])
    return [caption for group in several for caption in group], owners
