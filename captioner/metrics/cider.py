"""CIDEr-D (Vedantam et al. 2015, arXiv:1411.5726), per picture and as their mean, as in the COCO evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from captioner.metrics.matching import Candidates, References
from captioner.metrics.ngrams import ORDERS, NGrams, count_ngrams, document_frequencies
from captioner.metrics.statistics import Statistics, means

SIGMA = 6.0  # words: the width of the length penalty


def cider(candidates: Candidates, frequencies_from: References | None = None) -> Statistics:
    """Return the statistics of CIDEr-D: `cider_d`, at most 10; papers multiply it by 100.

    Args:
        candidates: candidates with their references.
        frequencies_from: the captions that give the document frequencies; None: the references. Scores with different
            document frequencies are not comparable, and with a single picture the score is 0.
    """
    return means({"cider_d": CiderD(candidates.references, frequencies_from).scores_of(candidates)})


class Frequencies:
    """Document frequencies: the number of pictures with a reference that contains an n-gram.

    Args:
        pictures: the number of all pictures.
        known: the n-grams of each order.
        counts: for each order, (distinct,) the document frequencies of `known.key`.
    """

    def __init__(self, pictures: int, known: Sequence[NGrams], counts: Sequence[np.ndarray]) -> None:
        self.pictures, self.known, self.counts = pictures, known, counts

    @classmethod
    def of(cls, references: References) -> Frequencies:
        """Return the document frequencies in references."""
        known = references.counted[1]
        return cls(len(references.row), known, [document_frequencies(ngrams, references.picture) for ngrams in known])

    @classmethod
    def of_words(cls, pictures: int, counts: Mapping[str, int]) -> Frequencies:
        """Return the given document frequencies of n-grams, whose words are joined with spaces."""
        split = [(text.split(), count) for text, count in counts.items()]
        known, values = [], []
        for order in range(ORDERS):
            own = [(words, count) for words, count in split if len(words) == order + 1]
            found = count_ngrams([words for words, _ in own])[1][order]  # one entry for each, in the same order
            value = np.ones(len(found.key), int)
            value[found.ngram] = [count for _, count in own]
            known.append(found)
            values.append(value)
        return cls(pictures, known, values)

    def idf(self, order: int, key: np.ndarray) -> np.ndarray:
        """Return log(pictures / document frequency) of n-grams (n,); an unknown n-gram counts as in one picture."""
        number = self.known[order].number(key)
        return np.log(self.pictures) - np.log(np.append(self.counts[order], 1)[number])


class CiderD:
    """CIDEr-D against fixed references, which are counted and weighted once, so that scoring candidates is fast.

    Args:
        references: image_id -> tokenized references, one or more.
        frequencies_from: the document frequencies, or the captions that give them; None: the references.
    """

    def __init__(
        self,
        references: Mapping[str, Sequence[Sequence[str]]] | References,
        frequencies_from: References | Frequencies | None = None,
    ) -> None:
        self.references = references if isinstance(references, References) else References(references)
        source = self.references if frequencies_from is None else frequencies_from
        self._frequencies = source if isinstance(source, Frequencies) else Frequencies.of(source)

    def scores(self, ids: Sequence[str], candidates: Sequence[Sequence[str]]) -> np.ndarray:
        """Return CIDEr-D of each candidate, (candidates,).

        Args:
            ids: the candidates' image_ids; several candidates may share one.
            candidates: tokenized candidates.

        Raises:
            KeyError: a picture is not among the references.
        """
        return self.scores_of(Candidates(self.references, ids, candidates))

    def scores_of(self, candidates: Candidates) -> np.ndarray:
        """Return CIDEr-D of each candidate, (candidates,) (Vedantam et al. 2015, equations 1, 4 and 5)."""
        pairs, owner = candidates.pair_reference, candidates.pair_candidate
        found = candidates.counted[1]
        total = np.zeros(len(pairs))
        for order, (their_weight, their_norm) in enumerate(self._references_weighed):
            my_weight = self._weigh(order, found[order])
            shared = candidates.shared(order)
            # clipped to the reference's weight: repeating a rare word gains nothing
            theirs = their_weight[shared.theirs]
            product = np.bincount(shared.pair, np.minimum(my_weight[shared.mine], theirs) * theirs, len(pairs))
            norms = _norms(found[order], my_weight, len(candidates))[owner] * their_norm[pairs]
            total += np.divide(product, norms, out=np.zeros(len(pairs)), where=norms > 0)
        # the evaluation code measures lengths in pairs of words
        delta = _pairs_of_words(candidates.counted[0])[owner] - _pairs_of_words(self.references.counted[0])[pairs]
        total *= np.exp(-(delta**2) / (2 * SIGMA**2))
        several = np.bincount(owner, minlength=len(candidates))
        return 10 / ORDERS * np.bincount(owner, total, len(candidates)) / several

    @cached_property
    def _references_weighed(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each order, the weights of the references' entries and the norms of the references (captions,)."""
        weighed = []
        for order, ngrams in enumerate(self.references.counted[1]):
            weights = self._weigh(order, ngrams)
            weighed.append((weights, _norms(ngrams, weights, len(self.references.captions))))
        return weighed

    def _weigh(self, order: int, ngrams: NGrams) -> np.ndarray:
        """Return the TF-IDF of each entry: count * log(pictures / pictures with the n-gram)."""
        return ngrams.times * self._frequencies.idf(order, ngrams.key)[ngrams.ngram]


def _norms(ngrams: NGrams, weights: np.ndarray, captions: int) -> np.ndarray:
    return np.sqrt(np.bincount(ngrams.caption, weights**2, captions))


def _pairs_of_words(lengths: np.ndarray) -> np.ndarray:
    return np.maximum(0, lengths - 1)
