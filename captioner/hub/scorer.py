"""Compute the log-probability of finished captions under a KerasHub model, in one pass over whole captions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.hub.families import HubFamily


class HubScorer(keras.Model):
    """Maps a model's inputs with whole token sequences to log p(token | previous tokens, picture), in float32.

    Args:
        task: the model, whose weights are shared.
        family: the kind of the model.
    """

    def __init__(self, task: Any, family: HubFamily) -> None:
        super().__init__(name="hub_scorer")
        self.network = keras.Model(task.input, task.output)
        self.family = family

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """Return (rows, length - 1); entry t belongs to token t + 1."""
        logits = ops.cast(self.network(dict(inputs), training=False), "float32")[:, :-1]  # (rows, length - 1, words)
        targets = ops.cast(inputs[self.family.tokens], "int32")[:, 1:, None]
        chosen = ops.take_along_axis(logits, targets, axis=-1)[..., 0]
        return chosen - ops.logsumexp(logits, axis=-1)

    def log_probs(self, inputs: Mapping[str, Any], tokens: np.ndarray, begins: int, ends: np.ndarray) -> np.ndarray:
        """Return the log-probability of each row's caption, (rows,).

        The attention between tokens is the same as in training: tokens of a prefix attend to each other, and tokens of
        the caption only to previous ones.

        Args:
            inputs: the inputs that the captions were generated from, one row per caption.
            tokens: (rows, length) prompts with captions.
            begins: index where the captions begin.
            ends: (rows,) index after each caption's end token.
        """
        places = np.arange(tokens.shape[1])
        whole = {
            **inputs,
            self.family.tokens: tokens,
            self.family.mask: places < ends[:, None],
            "response_mask": np.broadcast_to(places >= begins, tokens.shape),
        }
        found = self.predict_on_batch({name: whole[name] for name in self.network.input})
        own = (places[1:] >= begins) & (places[1:] < ends[:, None])
        return np.where(own, found, 0.0).sum(axis=1)
