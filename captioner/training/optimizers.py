"""The recipe's optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from captioner.training.config import DECAYING, WITH_MOMENTUM, TrainConfig
from captioner.training.schedules import learning_rate


class _Ours:
    """Changes that all optimizers here share: they sum sparse gradients, and the moving average of weights warms up.

    The optimizer receives every gradient as one dense tensor. On TensorFlow an embedding's gradient comes as rows, one
    for each occurrence of a word in the batch. Keras' optimizers square and clip these rows as if each were the whole
    gradient of the word: then Adam's second moment is not that of the gradient, and differs from JAX.

    Attributes:
        shares: Keras' own key of a variable -> its learning rate as a share of the others'.
    """

    shares: dict[Any, float] = {}  # noqa: RUF012

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """See keras.optimizers.Optimizer.apply."""
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            grads = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in grads]
        return super().apply(grads, trainable_variables)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """See keras.optimizers.Optimizer.update_step."""
        share = self.shares.get(self._var_key(variable), 1.0)  # type: ignore[attr-defined]
        super().update_step(gradient, variable, learning_rate * share)  # type: ignore[misc]

    def _get_current_learning_rate(self) -> Any:
        """Return the learning rate. A schedule counts updates here; in Keras it also counts the batches between them.

        Keras has no public method or setting for this.
        """
        schedule = self._learning_rate  # type: ignore[attr-defined]
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            return schedule(self.iterations)  # type: ignore[attr-defined]
        return super()._get_current_learning_rate()  # type: ignore[misc]

    def build(self, variables: Any) -> None:
        """Make the optimizer's variables; the moving averages start with the weights, in Keras with zeros."""
        super().build(variables)  # type: ignore[misc]
        if self.use_ema:  # type: ignore[attr-defined]
            averages = self._model_variables_moving_average  # type: ignore[attr-defined]
            for variable, average in zip(variables, averages, strict=True):
                average.assign(ops.copy(variable.value))  # a copy: JAX donates both in a step

    def finalize_variable_values(self, var_list: Any) -> None:
        """Do not overwrite the weights with their average: EpochEnd scores and keeps it, and training may continue."""

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Average with momentum min(m, (1 + t) / (10 + t)) after t updates, as TensorFlow's moving averages do.

        With m alone, the average over the first few hundred updates consists mostly of the initial weights. Keras calls
        this after every batch, even if the batch only adds to the gradients, and has no public name for it.
        """
        if not self.use_ema:  # type: ignore[attr-defined]
            return
        done = ops.cast(self.iterations, "float32")  # type: ignore[attr-defined]
        momentum = ops.minimum(float(self.ema_momentum), (1.0 + done) / (10.0 + done))  # type: ignore[attr-defined]
        if every := self.gradient_accumulation_steps:  # type: ignore[attr-defined]
            updated = (self._iterations + 1) % every == 0  # type: ignore[attr-defined]
            momentum = ops.where(updated, momentum, 1.0)
        averages = self._model_variables_moving_average  # type: ignore[attr-defined]
        for variable, average in zip(trainable_variables, averages, strict=True):
            share = ops.cast(momentum, variable.dtype)
            average.assign(share * average + (1 - share) * variable)


class Adam(_Ours, keras.optimizers.Adam):
    """Kingma and Ba 2015."""


class AdamW(_Ours, keras.optimizers.AdamW):
    """Loshchilov and Hutter 2019."""


class SGD(_Ours, keras.optimizers.SGD):
    """Gradient descent with momentum."""


class RMSprop(_Ours, keras.optimizers.RMSprop):
    """Tieleman and Hinton 2012."""


class Nadam(_Ours, keras.optimizers.Nadam):
    """Dozat 2016."""


class Lion(_Ours, keras.optimizers.Lion):
    """Chen et al. 2023."""


OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": SGD,
    "rmsprop": RMSprop,
    "nadam": Nadam,
    "lion": Lion,
}


def make_optimizer(
    config: TrainConfig, steps: int, of_encoder: Sequence[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """Return the optimizer of a run.

    Args:
        config: the settings.
        steps: batches in the whole run; the optimizer makes one update per `config.accumulate` batches.
        of_encoder: weights with the learning rate share `config.encoder_rate` and without weight decay.
    """
    settings: dict[str, Any] = {
        "learning_rate": learning_rate(config, max(1, steps // config.accumulate)),
        "global_clipnorm": config.clip_norm,
        "use_ema": config.ema is not None,
        "ema_momentum": config.ema or 0.99,
        "gradient_accumulation_steps": config.accumulate if config.accumulate > 1 else None,
    }
    if config.optimizer in DECAYING:
        settings["weight_decay"] = config.weight_decay
    if config.optimizer in WITH_MOMENTUM:
        settings["momentum"] = config.momentum
    optimizer = OPTIMIZERS[config.optimizer](**settings)
    optimizer.shares = {optimizer._var_key(variable): config.encoder_rate for variable in of_encoder}
    if config.optimizer in DECAYING:
        optimizer.exclude_from_weight_decay(var_list=list(of_encoder) or None, var_names=["bias"])
    return optimizer
