"""Greedy search: the likeliest word at every step."""

from __future__ import annotations

from keras import ops

from captioner.generation.search import Hypotheses, Search, Tensor
from captioner.text.vocabulary import PAD


class GreedySearch(Search):
    """Takes the likeliest word at every step; the beam size must be 1."""

    def choose(self, hypotheses: Hypotheses, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """See Search.choose."""
        # top_k, not argmax: the latter's lowering on TensorFlow is unknown to the ONNX and LiteRT converters.
        tokens = ops.cast(ops.top_k(log_probs, 1)[1][:, :, 0], "int32")  # (pictures, 1)
        return ops.zeros_like(tokens), ops.where(hypotheses.finished, PAD, tokens)
