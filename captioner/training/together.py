"""Training in several processes: all take the same steps, and process 0 does the work after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from captioner.data.parts import PartBatches
from captioner.models.decoder import CaptionDecoder
from captioner.run_folder import CHECKPOINT
from captioner.training.callbacks import Checkpointing, EpochProgress, Pace, Shuffling
from captioner.training.checkpoint import TrainingState, log_resumed, newest_checkpoint, read_variables
from captioner.training.config import TrainConfig
from captioner.training.epoch_end import EpochEnd, Score
from captioner.training.fit import compiled, run_epochs
from captioner.training.processes import alone, arrays_of, share
from captioner.training.scheduled_sampling import RisingShare, ScheduledSampling


class Leader:
    """Process 0's access to the decoder after an epoch, through its own copy.

    Args:
        decoder: the decoder that all processes train.
        copy: the copy, built by process 0 alone.
        optimizer: trains the decoder.
        variables: the variables of the decoder and its optimizer, which a checkpoint holds.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        copy: CaptionDecoder,
        optimizer: keras.optimizers.Optimizer,
        variables: Sequence[keras.Variable],
        rate: float,
    ) -> None:
        self.decoder, self.copy, self._optimizer = decoder, copy, optimizer
        self._rate = keras.Variable(rate)
        averages = optimizer._model_variables_moving_average if optimizer.use_ema else []
        self._model_variables_moving_average = [keras.Variable(array) for array in arrays_of(averages)]
        own = optimizer._learning_rate  # a variable, or a schedule, which is not among the variables
        self.variables = [self._rate if variable is own else variable for variable in variables]

    @property
    def learning_rate(self) -> float:
        """The learning rate. EpochEnd may lower it; then all processes set it."""
        return float(self._rate)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._rate.assign(rate)

    def take_over(self, rate: float) -> None:
        """Give the copy the decoder's current weights and their moving average."""
        self.learning_rate = rate
        self.copy.set_weights(arrays_of(self.decoder.weights))
        if self._optimizer.use_ema:
            averages = arrays_of(self._optimizer._model_variables_moving_average)
            for own, array in zip(self._model_variables_moving_average, averages, strict=True):
                own.assign(array)


class InStep(keras.callbacks.Callback):
    """Runs the work after an epoch in process 0, and applies its decisions in all processes."""

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        progress: TrainingState,
        leader: Leader | None,
        end: EpochEnd | None,
    ) -> None:
        super().__init__()
        self.optimizer, self.progress, self.leader, self.end = optimizer, progress, leader, end

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """See EpochEnd.finish."""
        rate = current_rate(self.optimizer)
        lowered, stop = rate, False
        if self.leader is not None and self.end is not None:
            with alone():
                self.leader.take_over(rate)
                self.end.finish(float((logs or {}).get("loss", "nan")), self.progress.seconds)
            lowered, stop = self.leader.learning_rate, self.end.exhausted()
        else:
            self.progress.epoch += 1
            self.progress.step, self.progress.loss, self.progress.seconds = 0, [], 0.0
        lowered, stop = share(np.array([lowered, stop], "float32")).tolist()
        if lowered != np.float32(rate):
            self.optimizer.learning_rate = lowered
        self.model.stop_training = bool(stop)


def current_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """Return the learning rate. All processes must call this, since a schedule computes it on all devices."""
    return float(np.asarray(optimizer.learning_rate))


def fit_together(
    decoder: CaptionDecoder,
    copy: CaptionDecoder | None,
    batches: PartBatches,
    score: Score | None,
    config: TrainConfig,
    folder: Path,
    *,
    identity: str,
    resume: bool = False,
) -> TrainingState:
    """Train `decoder` in all processes; its best weights are then in `folder`/best.npz and in process 0's copy.

    With one process the steps are those of captioner.training.fit.fit, except for dropout, which depends on the layout
    of a batch. `max_minutes` ends training only at the end of an epoch.

    Args:
        decoder: a decoder with new weights, built by all processes together.
        copy: a decoder of the same kind that process 0 has built alone; None in the others.
        batches: this process' parts of the training split.
        score: scores the copy; None in the other processes.
        config: the settings.
        folder: the folder in which process 0 keeps the checkpoints.
        identity: digest of settings and data; a checkpoint with another identity is refused.
        resume: process 0 continues from the newest checkpoint in `folder`, and the others follow.

    Returns:
        the run's progress; in process 0 with a row per epoch.

    Raises:
        DataError: the checkpoint cannot be resumed from, or the loss is not a number.
    """
    batches.start_at(0)
    steps = len(batches)
    model, optimizer = compiled(decoder, config, steps)
    variables = [*model.variables, *optimizer.variables]
    progress = _begin(variables, copy is not None and resume, folder, identity, config.epochs, steps)
    rate = current_rate(optimizer)
    leader, end = None, None
    within = replace(config, max_minutes=None)
    if copy is None or score is None:
        within = replace(within, checkpoint_minutes=None, checkpoint_steps=None)
    else:
        with alone():
            leader = Leader(decoder, copy, optimizer, variables, rate)
            end = EpochEnd(copy, leader, config, progress, score, leader.variables, folder, identity)
    [exhausted] = share(np.array([end is not None and end.exhausted()])).tolist()
    callbacks: list[Any] = [Shuffling(batches, progress)]
    if end is not None:
        callbacks.append(EpochProgress(steps, config.epochs, progress))
    callbacks.append(Checkpointing(Pace(progress, within), end.save if end is not None else _nothing))
    callbacks.append(InStep(optimizer, progress, leader, end))
    if isinstance(model, ScheduledSampling):
        callbacks.append(RisingShare(model, config.scheduled_sampling, config.epochs))
    if not exhausted:
        run_epochs(model, batches, callbacks, progress, config.epochs)
    if end is not None:
        with alone():
            end.restore_best()
    return progress


def _begin(
    variables: Sequence[keras.Variable], resume: bool, folder: Path, identity: str, epochs: int, steps: int
) -> TrainingState:
    """Give all processes the initial values of process 0; return the progress of the run."""
    progress, values = TrainingState(), arrays_of(variables)
    if resume:
        header, arrays = read_variables(newest_checkpoint(folder) or folder / CHECKPOINT, identity)
        progress = TrainingState(**header["progress"])
        values = [array.astype(value.dtype) for array, value in zip(arrays, values, strict=True)]
        log_resumed(progress, epochs, steps)
    for variable, value in zip(variables, share(values), strict=True):
        variable.assign(value)
    far = np.array([progress.epoch, progress.step, *(progress.loss or (0.0, 0.0))], "float32")
    epoch, step, *loss = share(far).tolist()
    progress.epoch, progress.step = int(epoch), int(step)
    progress.loss = loss if progress.step else []
    return progress


def _nothing() -> None:
    """Used instead of saving a checkpoint in the processes that keep none."""
