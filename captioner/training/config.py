"""The `train` section of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DECAYING, WITH_MOMENTUM = ("adamw", "lion"), ("sgd", "rmsprop")  # optimizers with weight_decay, with momentum


@dataclass(frozen=True)
class SelfCriticalConfig:
    """How a decoder is trained on its own samples (`train.self_critical`). METEOR is no reward, since it needs Java.

    Attributes:
        samples: captions that are sampled for each picture at each step.
        temperature: temperature of the sampling.
        cross_entropy: share of the references' cross-entropy in the loss; it reduces overfitting.
        references: captions per picture in the cross-entropy, chosen again in each epoch.
        bleu_4: weight of a caption's BLEU-4 (a fraction) beside its CIDEr-D (up to 10) in the reward.
    """

    samples: int = 5
    temperature: float = 1.0
    cross_entropy: float = 0.1
    references: int = 1
    bleu_4: float = 0.0

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(f"samples must be 2 or more, found {self.samples}: each is compared with the others")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, found {self.temperature}")
        if not 0 <= self.cross_entropy < 1:
            raise ValueError(f"cross_entropy must be at least 0 and below 1, found {self.cross_entropy}")
        if self.references < 1:
            raise ValueError(f"references must be 1 or more, found {self.references}; use cross_entropy: 0 for none")
        if self.bleu_4 < 0:
            raise ValueError(f"bleu_4 must be 0 or more, found {self.bleu_4}")


@dataclass(frozen=True)
class TrainConfig:
    """How a decoder is trained.

    Attributes:
        epochs: the largest number of passes over the training captions.
        batch_size: pictures per step, each with all its captions.
        least_steps: the least number of steps in an epoch. An epoch goes over few pictures several times and in
            smaller batches, so that a recipe made for thousands of pictures also suits 40.
        engine: `keras`, or `numpy`: the recurrent network implemented in NumPy, for init-inject models.
        optimizer: `adam`, `nadam`, `adamw` or `lion` with `weight_decay`, `sgd` or `rmsprop` with `momentum`.
        learning_rate: the highest learning rate.
        schedule: `constant`; `cosine` (down to 0 over all epochs); `exponential` and `step` (multiplied by
            `decay_rate` every `decay_epochs` epochs, smoothly or at once); `inverse_sqrt` (falls with the square root
            of the steps after `warmup`); `plateau` (halved when the dev score has not risen for `plateau_patience`
            epochs).
        warmup: share of all steps over which the learning rate rises from 0; not with `plateau`.
        decay_rate: factor of `exponential` and `step`.
        decay_epochs: epochs over which that factor applies once.
        plateau_patience: epochs without a better dev score before `plateau` halves the learning rate.
        accumulate: batches whose gradients are averaged before the weights change.
        weight_decay: weight decay of adamw and lion.
        momentum: momentum of sgd and rmsprop.
        clip_norm: largest norm of all gradients together; null for no clipping.
        label_smoothing: share of the target distribution spread evenly over all words; not in self-critical training.
        ema: momentum of an exponential moving average of the weights, which is evaluated and saved; null or 0 for
            none. At the start of training its momentum is at most (1 + steps) / (10 + steps).
        monitor: the dev score that chooses the best epoch and stops training: a score of generated captions, or
            `val_loss`. Of two epochs with equal scores, or whose captions score no more than for the wrong pictures,
            the one with the lower val_loss is better.
        best_by: how an epoch is ranked: by its own dev score (`epoch`), or by the mean of its score and those of the
            scored epochs before and after it (`neighbours`), because a single score varies by half a point by chance.
        average_epochs: the mean of the weights after this number of the newest epochs is evaluated and saved; 1 for
            each epoch's own weights. Training continues with its own weights.
        score_every: epochs between scorings of generated captions; the last epoch is always scored. The dev loss is
            computed after each epoch.
        score_pictures: dev pictures, spread evenly over the split, that are captioned for these scores; null for all.
            The best epoch is scored on all of them when training ends.
        patience: epochs without a better dev score before training stops; null for never. Epochs
            count only after the captions have once scored higher on their own pictures than on other pictures.
        max_minutes: minutes of training after which the epoch is cut short, scored, and becomes the last; null for no
            limit. Several processes finish the epoch first.
        scheduled_sampling: in the last epoch, the share of words read in training that are the decoder's own; it rises
            from 0 in the first epoch.
        checkpoint_minutes: minutes between checkpoints within an epoch; null for none.
        checkpoint_steps: batches between checkpoints within an epoch; null for none.
        precision: `bfloat16` computes in bfloat16 and keeps weights in float32; `auto` chooses it if the processor or
            the GPU supports it natively, and otherwise `float32`.
        seed: seed of weights, dropout and shuffling.
        views: further feature files of the training pictures, each of another view (`captioner extract --view flip`);
            for each picture and epoch one is chosen at random. Pictures whose captions say left or right are never
            mirrored.
        augment: random changes for each training picture and epoch: `crop`, `flip`, `color`. The pictures are read from
            `data.images` and encoded while training runs; the feature file is used for the dev split. Pictures whose
            captions say left or right are never mirrored.
        distill: file of captions that other models generated for the training pictures, to train on beside the
            references: the predictions.json of `captioner evaluate RUN RUN --split train -n 3`, or the output of
            `captioner predict -n 3 --json`; or a list of such files. A caption that is in several files counts several
            times. Neither the scores nor the vocabulary use them. Null for none.
        begin_from: a run folder or `.keras` file whose weights training starts from; null for new weights.
        encoder_rate: the learning rate of encoder layers that are trained with the decoder, as a share of
            `learning_rate`; 0 freezes them.
        self_critical: train on samples and their CIDEr-D instead of the references alone; needs `begin_from`.
        keep_captions: whether the captioner keeps the training captions, for `generation.consensus` and the confidence;
            false if its file may be shared but the captions may not.
        tensorboard: write each epoch's numbers for TensorBoard: `true` into the run folder, or the name of a folder.
    """

    epochs: int = 20
    batch_size: int = 64
    least_steps: int = 40
    engine: Literal["keras", "numpy"] = "keras"
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop", "nadam", "lion"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "step", "exponential", "inverse_sqrt", "plateau"] = "constant"
    warmup: float = 0.0
    decay_rate: float = 0.5
    decay_epochs: float = 1.0
    plateau_patience: int = 2
    accumulate: int = 1
    weight_decay: float = 0.0
    momentum: float = 0.0
    clip_norm: float | None = 5.0
    label_smoothing: float = 0.0
    ema: float | None = None
    monitor: Literal["bleu_4", "cider_d", "val_loss"] = "cider_d"
    best_by: Literal["epoch", "neighbours"] = "epoch"
    average_epochs: int = 1
    score_every: int = 1
    score_pictures: int | None = None
    patience: int | None = 5
    max_minutes: float | None = None
    scheduled_sampling: float = 0.0
    checkpoint_minutes: float | None = 10.0
    checkpoint_steps: int | None = None
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    seed: int = 0
    views: tuple[str, ...] = ()
    augment: tuple[Literal["crop", "flip", "color"], ...] = ()
    distill: str | tuple[str, ...] | None = None
    begin_from: str | None = None
    encoder_rate: float = 0.1
    self_critical: SelfCriticalConfig | None = None
    tensorboard: bool | str = False
    keep_captions: bool = True

    def __post_init__(self) -> None:
        if self.ema == 0:
            object.__setattr__(self, "ema", None)
        self._require_ranges()
        self._require_a_fitting_optimizer()
        self._require_a_fitting_schedule()
        self._require_a_fitting_beginning()

    def _require_ranges(self) -> None:
        """Check the ranges of numbers. Raises ValueError."""
        nullable = ("patience", "score_pictures")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, found {self.seed}")
        whole = ("epochs", "batch_size", "least_steps", "plateau_patience", "accumulate", "average_epochs")
        for name in (*whole, "score_every", *nullable):
            value = getattr(self, name)
            if value is not None and value < 1:
                null = ", or null" if name in nullable else ""
                raise ValueError(f"{name} must be 1 or more{null}, found {value}")
        for name in ("max_minutes", "checkpoint_minutes", "checkpoint_steps", "clip_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, or null, found {value}")
        for name in ("learning_rate", "decay_epochs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")
        for name in ("label_smoothing", "warmup", "scheduled_sampling", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, found {getattr(self, name)}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be between 0 and 1, or null for none, found {self.ema}")
        if not 0 < self.decay_rate < 1:
            raise ValueError(f"decay_rate must be between 0 and 1, found {self.decay_rate}")

    def _require_a_fitting_optimizer(self) -> None:
        """Check that the optimizer has the given settings. Raises ValueError."""
        if self.momentum and self.optimizer not in WITH_MOMENTUM:
            raise ValueError(f"momentum needs optimizer: {' or '.join(WITH_MOMENTUM)}")
        if self.weight_decay and self.optimizer not in DECAYING:
            raise ValueError(f"weight_decay needs optimizer: {' or '.join(DECAYING)}")

    def _require_a_fitting_schedule(self) -> None:
        """Check that the schedule allows, or has, the warm-up. Raises ValueError."""
        if self.warmup and self.schedule == "plateau":
            raise ValueError("warmup does not work with schedule plateau; set it to 0, or choose another schedule")
        if self.schedule == "inverse_sqrt" and not self.warmup:
            raise ValueError("schedule inverse_sqrt needs warmup, such as 0.1: the rate falls after the warm-up")

    def _require_a_fitting_beginning(self) -> None:
        """Check that self-critical training has a trained decoder, and that its settings agree. Raises ValueError."""
        if self.self_critical is not None and self.begin_from is None:
            raise ValueError("self_critical needs begin_from: a run that was trained with cross-entropy")
        if self.self_critical is not None and self.engine == "numpy":
            raise ValueError("self_critical needs engine: keras")
        if self.self_critical is not None and self.scheduled_sampling:
            raise ValueError("self_critical draws its own captions; set scheduled_sampling to 0")
        if self.augment and self.views:
            raise ValueError("augment and views cannot be used together; choose one")
        if not 0 <= self.encoder_rate <= 1:
            raise ValueError(f"encoder_rate must be between 0 and 1, found {self.encoder_rate}")

    @property
    def teachers(self) -> tuple[str, ...]:
        """The files of generated captions that `distill` names."""
        if self.distill is None:
            return ()
        return (self.distill,) if isinstance(self.distill, str) else self.distill

    def batch_size_for(self, pictures: int) -> int:
        """Return the pictures per step: at most an eighth of few pictures, but at least 4 if `batch_size` allows it."""
        return min(self.batch_size, max(4, pictures // 8))
