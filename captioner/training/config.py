"""The `train` section of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainConfig:
    """How a decoder is trained.

    Attributes:
        epochs: passes over the training captions, at most.
        batch_size: pictures a step, each with all its captions.
        least_steps: an epoch has at least so many steps: it goes over few pictures several times, and in smaller
            batches, so that a recipe made for thousands of pictures also suits 40.
        engine: `keras`, or `numpy`: the recurrent network written out in NumPy, for init-inject models.
        optimizer: `adam`, `adamw` with `weight_decay`, or `sgd` with `momentum`.
        learning_rate: the highest one.
        schedule: `constant`; `cosine` (down to 0 over all epochs); `plateau` (halved when the dev score has not risen
            for `plateau_patience` epochs).
        warmup: share of all steps over which a cosine schedule rises from 0.
        plateau_patience: epochs.
        weight_decay: of adamw.
        momentum: of sgd.
        clip_norm: largest norm of all gradients together; null for none.
        label_smoothing: share of the target distribution spread evenly over all words.
        ema: momentum of an exponential moving average of the weights, which is evaluated and saved; null or 0 for
            none. It begins short: its momentum is at most (1 + steps) / (10 + steps).
        monitor: the dev score by which the best epoch is chosen and training stops: of generated captions, or
            `val_loss`. Of two epochs with equal scores the one with the lower val_loss is better, and so it is of two
            whose captions score no more than they do for the wrong pictures.
        patience: epochs without a better dev score before training stops; null for never. They count from the first
            epoch whose captions score more than for the wrong pictures.
        precision: `bfloat16` computes in bfloat16 and keeps weights in float32.
        seed: of weights, dropout and shuffling.
    """

    epochs: int = 20
    batch_size: int = 64
    least_steps: int = 40
    engine: Literal["keras", "numpy"] = "keras"
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    warmup: float = 0.0
    plateau_patience: int = 2
    weight_decay: float = 0.0
    momentum: float = 0.0
    clip_norm: float | None = 5.0
    label_smoothing: float = 0.0
    ema: float | None = None
    monitor: Literal["bleu_4", "cider_d", "val_loss"] = "cider_d"
    patience: int | None = 5
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "least_steps", "plateau_patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, found {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, found {self.learning_rate}")
        for name in ("label_smoothing", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, found {getattr(self, name)}")
        if self.ema == 0:
            object.__setattr__(self, "ema", None)
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be between 0 and 1, or null for none, found {self.ema}")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(f"clip_norm must be above 0, or null, found {self.clip_norm}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be 1 or more, or null, found {self.patience}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, found {self.momentum}")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError("momentum needs optimizer: sgd")
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError("weight_decay needs optimizer: adamw")

    def batch_size_for(self, pictures: int) -> int:
        """Return the pictures a step: of few pictures an eighth, but no fewer than 4 unless `batch_size` is smaller."""
        return min(self.batch_size, max(4, pictures // 8))
