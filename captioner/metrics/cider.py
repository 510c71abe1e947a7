"""CIDEr-D (Vedantam et al. 2015, arXiv:1411.5726), per picture and as their mean, as the COCO evaluation has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from captioner.metrics.ngrams import ORDERS, NGrams, count_ngrams, documents, flatten

SIGMA = 6.0  # words: the width of the length penalty


def cider(
    candidates: Mapping[str, Sequence[str]], references: Mapping[str, Sequence[Sequence[str]]]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return CIDEr-D of the corpus (the pictures' mean) and of each picture; 10 is the most, papers give it times 100.

    The document frequencies come from the candidates' references, so a score holds for its set of pictures only, and
    over a single picture it is 0.

    Args:
        candidates: image_id -> the tokenized candidate, one or more.
        references: image_id -> the tokenized references, one or more for each candidate.
    """
    scorer = CiderD({image_id: references[image_id] for image_id in candidates})
    scores = scorer.scores(list(candidates), list(candidates.values()))
    each = {image_id: {"cider_d": float(score)} for image_id, score in zip(candidates, scores, strict=True)}
    return {"cider_d": float(scores.mean())}, each


class CiderD:
    """CIDEr-D against fixed references: their document frequencies are counted once, then candidates score quickly.

    Args:
        references: image_id -> tokenized references, one or more. An n-gram's document frequency is the number of
            pictures with a reference that holds it.
    """

    def __init__(self, references: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._references = references
        captions, picture = flatten(list(references.values()))
        _, orders = count_ngrams(captions)
        self._frequencies = [documents(ngrams, picture) for ngrams in orders]
        self._pictures = len(references)

    def scores(self, ids: Sequence[str], candidates: Sequence[Sequence[str]]) -> np.ndarray:
        """Return CIDEr-D of each candidate, (candidates,) (Vedantam et al. 2015, equations 1, 4 and 5).

        Args:
            ids: the candidates' image_ids; several candidates may share one.
            candidates: tokenized candidates.

        Raises:
            KeyError: a picture is not among the references.
        """
        captions, owner = flatten([self._references[image_id] for image_id in ids])
        _, found = count_ngrams(candidates)
        _, given = count_ngrams(captions)
        total = np.zeros(len(captions))
        for order in range(ORDERS):
            mine, theirs = found[order], given[order]
            my_weight, their_weight = self._weights(order, mine), self._weights(order, theirs)
            shared, entry = mine.find(theirs.key, owner[theirs.caption])
            # clipped to the reference's weight: repeating a rare word gains nothing
            clipped = np.minimum(my_weight[entry], their_weight[shared]) * their_weight[shared]
            product = np.bincount(theirs.caption[shared], clipped, len(captions))
            norms = _norms(mine, my_weight, len(candidates))[owner] * _norms(theirs, their_weight, len(captions))
            total += np.divide(product, norms, out=np.zeros(len(captions)), where=norms > 0)
        # the evaluation code measures lengths in pairs of words
        delta = _pairs(found, len(candidates))[owner] - _pairs(given, len(captions))
        total *= np.exp(-(delta**2) / (2 * SIGMA**2))
        several = np.bincount(owner, minlength=len(candidates))
        return 10 / ORDERS * np.bincount(owner, total, len(candidates)) / several

    def _weights(self, order: int, ngrams: NGrams) -> np.ndarray:
        """Return the TF-IDF of each entry: count * log(pictures / pictures that hold the n-gram)."""
        keys, frequencies = self._frequencies[order]
        frequency = np.ones(len(ngrams.key))  # an n-gram that no reference holds counts as held by one picture's
        if len(keys):
            near = np.minimum(np.searchsorted(keys, ngrams.key), len(keys) - 1)
            frequency = np.where(keys[near] == ngrams.key, frequencies[near], frequency)
        return ngrams.times * (np.log(self._pictures) - np.log(frequency))


def _norms(ngrams: NGrams, weights: np.ndarray, captions: int) -> np.ndarray:
    return np.sqrt(np.bincount(ngrams.caption, weights**2, captions))


def _pairs(orders: Sequence[NGrams], captions: int) -> np.ndarray:
    return np.bincount(orders[1].caption, orders[1].times, captions)
