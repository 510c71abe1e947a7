"""Texts as padded arrays, and the mean of probabilities given as logarithms. Needs no Keras."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captioner.text.vocabulary import END, PAD


def padded(texts: Sequence[Sequence[int]], max_length: int) -> np.ndarray:
    """Return texts, numbers from `<start>` to `<end>`, as an array (texts, max_length + 1) int32.

    Args:
        texts: texts of any length.
        max_length: the largest number of words of a text, including `<end>`; longer texts are cut off.
    """
    tokens = np.full((len(texts), max_length + 1), PAD, np.int32)
    for row, text in zip(tokens, texts, strict=True):
        cut = text if len(text) <= len(row) else [*text[: len(row) - 1], END]
        row[: len(cut)] = cut
    return tokens


def log_mean_exp(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the logarithm of the mean of exponentials along an axis."""
    top = values.max(axis=axis, keepdims=True)
    return (np.log(np.exp(values - top).mean(axis=axis, keepdims=True)) + top).squeeze(axis)
