"""Compute how likely a text is for a picture, with a run's graphs on onnxruntime, without Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from captioner.export.fast import FastCaptioner
from captioner.text.vocabulary import PAD

AT_ONCE = 16  # pictures; larger batches take longer per picture


class GraphLikelihood:
    """The same as captioner.generation.likelihood.Likelihood.of_all, computed word by word.

    Args:
        captioner: the captioner with the graphs.
        max_length: maximum number of words of a text, including `<end>`.
    """

    def __init__(self, captioner: FastCaptioner, max_length: int) -> None:
        self._captioner, self._max_length = captioner, max_length

    def of_all(self, features: Any, tokens: np.ndarray) -> np.ndarray:
        """Return log p(text | picture) of every text for every picture.

        Args:
            features: (pictures, ...)
            tokens: (texts, max_length + 1) from captioner.generation.padding.padded.

        Returns:
            (pictures, texts) float32
        """
        result = np.zeros((len(features), len(tokens)), np.float32)
        for top in range(0, len(features), AT_ONCE):
            part = np.asarray(features[top : top + AT_ONCE], np.float32)
            memory, first = self._captioner.start(part, self._max_length)
            for column, text in enumerate(tokens):
                result[top : top + len(part), column] = self._of_text(text, len(part), memory, first)
        return result

    def _of_text(self, text: np.ndarray, pictures: int, memory: Any, state: list[np.ndarray]) -> np.ndarray:
        """Return log p(text | picture), (pictures,)."""
        total = np.zeros(pictures, np.float32)
        for position in range(np.count_nonzero(text != PAD) - 1):
            token = np.full(pictures, text[position], np.int32)
            logits, log_sum, state, _ = self._captioner.step(token, position, state, memory)
            total += logits[:, text[position + 1]] - log_sum[:, 0]
        return total
