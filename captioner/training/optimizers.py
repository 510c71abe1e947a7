"""The recipe's optimizer."""

from __future__ import annotations

from typing import Any

import keras

from captioner.training.config import TrainConfig


class _SummedGradients:
    """Hands every gradient to the optimizer as one tensor.

    On TensorFlow an embedding's gradient comes as rows, one for each time that a word occurs in the batch. Keras'
    optimizers square and clip these rows as they are, as if each were the word's whole gradient: Adam's second moment
    is then not that of the gradient, and other than on JAX.
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """See keras.optimizers.Optimizer.apply."""
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            grads = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in grads]
        return super().apply(grads, trainable_variables)  # type: ignore[misc]


class Adam(_SummedGradients, keras.optimizers.Adam):
    """Kingma and Ba 2015."""


class AdamW(_SummedGradients, keras.optimizers.AdamW):
    """Loshchilov and Hutter 2019."""


class SGD(_SummedGradients, keras.optimizers.SGD):
    """Gradient descent with momentum."""


def make_optimizer(config: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer of a run of `steps` steps."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = config.learning_rate
    if config.schedule == "cosine":
        warmup = round(config.warmup * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else config.learning_rate,
            decay_steps=max(1, steps - warmup),
            warmup_target=config.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    common: dict[str, Any] = {
        "learning_rate": rate,
        "global_clipnorm": config.clip_norm,
        "use_ema": config.ema is not None,
        "ema_momentum": config.ema or 0.99,
    }
    if config.optimizer == "adamw":
        optimizer = AdamW(weight_decay=config.weight_decay, **common)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer
    if config.optimizer == "sgd":
        return SGD(momentum=config.momentum, **common)
    return Adam(**common)
