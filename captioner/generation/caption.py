"""What captioning gives. Imports no Keras: the way through onnxruntime gives the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Caption:
    """A generated caption.

    Attributes:
        text: the words with spaces between them, or what the pieces of words make.
        tokens: the words or pieces.
        log_prob: natural logarithm of its probability under the model, `<end>` included.
        attention: (tokens, regions) the weights of each word over the picture's regions, where the decoder has them.
        confidence: how good the caption is likely to be, from 0 to 1: see captioner.metrics.calibration. None where the
            captioner was trained without.
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    attention: np.ndarray | None = None
    confidence: float | None = None
