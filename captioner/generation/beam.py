"""Beam search: keeps the most probable hypotheses at every step; finished ones keep their place unchanged."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from captioner.generation.hypotheses import Choice, Hypotheses, Tensor
from captioner.generation.search import Search
from captioner.generation.top_k import top_k
from captioner.generation.word_rules import IMPOSSIBLE
from captioner.text.vocabulary import PAD


class BeamCandidates(NamedTuple):
    """The most probable next words of each hypothesis; all arrays are (pictures, parents, candidates).

    Attributes:
        words: int32.
        log_probs: log-probabilities of the words.
        ranks: the value by which candidates are ranked; the highest are chosen.
    """

    words: Tensor
    log_probs: Tensor
    ranks: Tensor


@keras.saving.register_keras_serializable("captioner")
class BeamSearch(Search):
    """Keeps the beam_size most probable hypotheses.

    A hypothesis that ends is frozen and keeps its place, so the beam of the open ones shrinks by one (Xu et al. 2015);
    the search ends when all have ended, or when no open one can beat the n best.
    """

    def choose(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor, draws: Any) -> Choice:
        """See Search.choose."""
        return best_of(self.candidates(hypotheses, logits, total), self.beams)

    def candidates(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor) -> BeamCandidates:
        """Return each hypothesis' most probable words, at most `beams` of them. See Search.choose."""
        parents = hypotheses.log_probs.shape[1]
        best, words = top_k(logits, self.beams, self.constraints.forbidden)
        count = best.shape[-1]
        log_probs = ops.reshape(best - total, (-1, parents, count))
        # A finished hypothesis has only its first candidate, which ranks before every open one: +1 against at most 0.
        frozen = ops.where(ops.arange(count) == 0, 1.0, 4 * IMPOSSIBLE)  # (candidates,)
        open_ones = hypotheses.log_probs[:, :, None] + log_probs
        ranks = ops.where(hypotheses.finished[:, :, None], frozen, open_ones)
        return BeamCandidates(ops.reshape(words, (-1, parents, count)), log_probs, ranks)


def best_of(candidates: BeamCandidates, beams: int) -> Choice:
    """Choose the `beams` best-ranked candidates of each picture; impossible ones fill up if there are fewer."""
    _, parents, count = candidates.ranks.shape
    missing = ((0, 0), (0, max(0, beams - parents * count)))

    def flat(values: Tensor, filling: float) -> Tensor:
        values = ops.reshape(values, (-1, parents * count))
        return ops.pad(values, missing, constant_values=filling) if missing[1][1] else values

    _, chosen = ops.top_k(flat(candidates.ranks, 4 * IMPOSSIBLE), beams)
    chosen = ops.cast(chosen, "int32")  # (pictures, beams)
    return Choice(
        parents=ops.minimum(chosen // count, parents - 1),
        words=ops.take_along_axis(flat(candidates.words, PAD), chosen, axis=1),
        log_probs=ops.take_along_axis(flat(candidates.log_probs, IMPOSSIBLE), chosen, axis=1),
    )
