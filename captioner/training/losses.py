"""The training loss: cross-entropy over real words, with label smoothing."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("captioner")
class CaptionLoss(keras.losses.Loss):
    """Cross-entropy of integer targets, averaged over the words whose weight is not 0.

    With label smoothing e the target distribution is (1 - e) for the word and e spread evenly over all words (Szegedy
    et al. 2016, section 7), so that, of logits z over V words,
    loss = (1 - e) (logsumexp z - z_target) + e (logsumexp z - mean z) = cross-entropy + e (z_target - mean z).

    Args:
        label_smoothing: e.
    """

    def __init__(self, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**{"name": "loss", "reduction": "mean_with_sample_weight", "dtype": "float32", **kwargs})
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (n,) of targets (n,) and logits (n, words)."""
        loss = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        if self.label_smoothing:
            target = ops.take_along_axis(y_pred, ops.cast(y_true, "int32")[:, None], axis=-1)[:, 0]
            loss += self.label_smoothing * (target - ops.mean(y_pred, axis=-1))
        return loss

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
