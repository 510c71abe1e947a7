"""The training loss: cross-entropy over real words, with label smoothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any
LEAST_PROBABILITY = 1e-30  # a float32 still has full precision there


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
        """Return the loss (n,) for targets (n,) and logits (n, words)."""
        return cross_entropy(ops.cast(y_true, "int32"), y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def cross_entropy(targets: Tensor, logits: Tensor, label_smoothing: float) -> Tensor:
    """Return the loss of CaptionLoss, (n,), for targets (n,) and logits (n, words) in float32.

    With thousands of words the logits are far larger than the processor's caches, and reading them takes longer than
    the arithmetic. Here loss and gradient both use the probabilities, which the gradient needs anyway; together they
    take a third of the time of TensorFlow's own cross-entropy (3,808 words over 7,579, two cores).
    d loss / d z = softmax z - (1 - e) onehot - e / V.
    """
    words = logits.shape[-1]
    at_targets = ops.stack([ops.arange(ops.shape(targets)[0], dtype="int32"), targets], axis=1)  # (n, 2)

    @ops.custom_gradient
    def of_logits(logits: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        probabilities = ops.softmax(logits, axis=-1)
        chosen = _at(probabilities, targets)

        def exactly() -> Tensor:  # a probability may be too small for a float
            largest = ops.max(logits, axis=-1)
            return largest - ops.log(ops.max(probabilities, axis=-1)) - _at(logits, targets)

        loss = ops.cond(ops.all(chosen > LEAST_PROBABILITY), lambda: -ops.log(chosen), exactly)
        if label_smoothing:
            loss = loss + label_smoothing * (_at(logits, targets) - ops.mean(logits, axis=-1))

        def gradient(*args: Tensor, upstream: Tensor = None) -> Tensor:
            upstream = args[0] if upstream is None else upstream  # (n,)
            spread = probabilities - label_smoothing / words if label_smoothing else probabilities
            chosen = -(1 - label_smoothing) * upstream
            return ops.scatter_update(spread * upstream[:, None], at_targets, chosen, reduction="add")

        return loss, gradient

    return of_logits(logits)


def _at(rows: Tensor, words: Tensor) -> Tensor:
    """Return the value of each row (n, words) at its word: (n,)."""
    return ops.take_along_axis(rows, words[:, None], axis=-1)[:, 0]
