"""Learning rates that change from step to step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.training.config import TrainConfig

Tensor = Any


@keras.saving.register_keras_serializable("captioner")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0, then follows another schedule, whose step 0 is the end of the rise.

    Args:
        peak: the learning rate at the end of the rise.
        steps: steps of the rise, 1 or more.
        after: the schedule after the rise, or None to stay at the peak.
    """

    def __init__(
        self, peak: float, steps: int, after: keras.optimizers.schedules.LearningRateSchedule | None = None
    ) -> None:
        super().__init__()
        self.peak, self.steps, self.after = peak, steps, after

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate of a step, from 0 on."""
        step = ops.cast(step, "float32")
        rising = self.peak * step / self.steps
        later = self.peak if self.after is None else self.after(ops.maximum(step - self.steps, 0.0))
        return ops.where(step < self.steps, rising, later)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        after = None if self.after is None else keras.saving.serialize_keras_object(self.after)
        return {"peak": self.peak, "steps": self.steps, "after": after}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Warmup:
        """Build a schedule from the result of `get_config`."""
        after = config["after"]
        return cls(**{**config, "after": None if after is None else keras.saving.deserialize_keras_object(after)})


@keras.saving.register_keras_serializable("captioner")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Falls with the square root of the steps: peak * sqrt(first / (first + step)) (Vaswani et al. 2017, eq. 3).

    Args:
        peak: the learning rate at step 0.
        first: the number of warm-up steps before step 0.
    """

    def __init__(self, peak: float, first: int) -> None:
        super().__init__()
        self.peak, self.first = peak, first

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate of a step, from 0 on."""
        return self.peak * ops.sqrt(self.first / (self.first + ops.cast(step, "float32")))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"peak": self.peak, "first": self.first}


def learning_rate(config: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate of a run.

    Args:
        config: the settings.
        steps: the optimizer's updates in the whole run.
    """
    peak, schedules = config.learning_rate, keras.optimizers.schedules
    warmup = round(config.warmup * steps)
    decay_steps = max(1, round(config.decay_epochs * steps / config.epochs))
    after: Any = None
    if config.schedule == "cosine":
        after = schedules.CosineDecay(peak, decay_steps=max(1, steps - warmup))
    elif config.schedule in ("step", "exponential"):
        after = schedules.ExponentialDecay(peak, decay_steps, config.decay_rate, staircase=config.schedule == "step")
    elif config.schedule == "inverse_sqrt":
        after = InverseSquareRoot(peak, max(1, warmup))
    if warmup:
        return Warmup(peak, warmup, after)
    return peak if after is None else after
