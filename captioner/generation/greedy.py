"""Greedy search: the likeliest word at every step."""

from __future__ import annotations

from keras import ops

from captioner.generation.search import Hypotheses, Search, Tensor


class GreedySearch(Search):
    """Takes the likeliest word at every step; the beam size must be 1."""

    def choose(self, hypotheses: Hypotheses, log_probs: Tensor) -> Tensor:
        """See Search.choose: with one beam there is one candidate."""
        return ops.zeros_like(hypotheses.lengths)
