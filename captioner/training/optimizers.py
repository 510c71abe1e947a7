"""The recipe's optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from captioner.training.config import DECAYING, WITH_MOMENTUM, TrainConfig
from captioner.training.schedules import learning_rate


class _Ours:
    """What every optimizer here does beside its own: it sums gradients, and its moving average of the weights warms up.

    Every gradient is handed to the optimizer as one tensor. On TensorFlow an embedding's gradient comes as rows, one
    for each time that a word occurs in the batch. Keras' optimizers square and clip these rows as they are, as if each
    were the word's whole gradient: Adam's second moment is then not that of the gradient, and other than on JAX.

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
        """Return the learning rate; a schedule counts updates, where Keras' counts the batches between them, too.

        Keras has no public name for it, and no setting.
        """
        schedule = self._learning_rate  # type: ignore[attr-defined]
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            return schedule(self.iterations)  # type: ignore[attr-defined]
        return super()._get_current_learning_rate()  # type: ignore[misc]

    def build(self, variables: Any) -> None:
        """Make the optimizer's variables; the averages begin as the weights, where Keras' begin as zeros."""
        super().build(variables)  # type: ignore[misc]
        if self.use_ema:  # type: ignore[attr-defined]
            averages = self._model_variables_moving_average  # type: ignore[attr-defined]
            for variable, average in zip(variables, averages, strict=True):
                average.assign(ops.copy(variable.value))  # of its own: JAX gives both away in a step

    def finalize_variable_values(self, var_list: Any) -> None:
        """Leave the weights as they are: EpochEnd scores and keeps their average, and training may go on."""

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Average with momentum min(m, (1 + t) / (10 + t)), t being the updates done, as TensorFlow's averages do it.

        With m alone the average of a run's first few hundred updates is mostly of the weights that it began with. Keras
        calls this after every batch, also one that only adds to the gradients, and has no public name for it.
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
        steps: batches in the whole run; the optimizer makes one update for every `config.accumulate` of them.
        of_encoder: weights that learn at `config.encoder_rate` and do not decay.
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
