"""Beam search: the likeliest hypotheses are kept at every step; a finished one keeps its place and never changes."""

from __future__ import annotations

from keras import ops

from captioner.generation.search import IMPOSSIBLE, Hypotheses, Search, Tensor
from captioner.text.vocabulary import PAD


class BeamSearch(Search):
    """Keeps the beam_size likeliest hypotheses.

    A hypothesis that ends is frozen and keeps its place, so the beam of the open ones shrinks by one (Xu et al. 2015);
    the search ends when all have ended, or when no open one can beat the n best.
    """

    def choose(self, hypotheses: Hypotheses, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """See Search.choose."""
        beams, words = self.config.beam_size, self.decoder.vocabulary_size
        finished = hypotheses.finished[:, :, None]  # (pictures, beams, 1)
        # A finished hypothesis has one continuation, <pad>, that comes before every open one: +1 against at most 0.
        is_pad = ops.arange(words) == PAD  # (words,)
        frozen = ops.where(is_pad, 1.0, 4 * IMPOSSIBLE)  # (words,)
        candidates = ops.where(finished, frozen, hypotheses.log_probs[:, :, None] + log_probs)
        flat = ops.reshape(candidates, (-1, beams * words))
        chosen = ops.cast(ops.top_k(flat, beams)[1], "int32")  # (pictures, beams)
        return chosen // words, chosen % words
