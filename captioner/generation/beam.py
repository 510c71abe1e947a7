"""Beam search: the likeliest hypotheses are kept at every step; a finished one keeps its place and never changes."""

from __future__ import annotations

from keras import ops

from captioner.generation.search import IMPOSSIBLE, Hypotheses, Search, Tensor


class BeamSearch(Search):
    """Keeps the beam_size likeliest hypotheses.

    A hypothesis that ends is frozen and keeps its place, so the beam of the open ones shrinks by one (Xu et al. 2015);
    the search ends when all have ended, or when no open one can beat the n best.
    """

    def choose(self, hypotheses: Hypotheses, log_probs: Tensor) -> Tensor:
        """See Search.choose."""
        beams, candidates = self.config.beam_size, log_probs.shape[-1]
        # A finished hypothesis has one candidate, the first, and it comes before every open one: +1 against at most 0.
        frozen = ops.where(ops.arange(candidates) == 0, 1.0, 4 * IMPOSSIBLE)  # (candidates,)
        open_ones = hypotheses.log_probs[:, :, None] + log_probs
        ranked = ops.where(hypotheses.finished[:, :, None], frozen, open_ones)  # (pictures, beams, candidates)
        return ops.cast(ops.top_k(ops.reshape(ranked, (-1, beams * candidates)), beams)[1], "int32")
