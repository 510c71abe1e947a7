"""Greedy search: the most probable word at every step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.generation.hypotheses import Choice, Hypotheses, Tensor
from captioner.generation.search import Search
from captioner.generation.top_k import top_k


@keras.saving.register_keras_serializable("captioner")
class GreedySearch(Search):
    """Takes the most probable word at every step; the beam size must be 1."""

    branches = False

    def choose(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor, draws: Any) -> Choice:
        """See Search.choose; one beam has one candidate."""
        best, words = top_k(logits, 1, self.constraints.forbidden)  # (pictures, 1)
        return Choice(ops.zeros_like(words), words, best - total)
