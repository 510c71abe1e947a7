"""Keras callbacks: progress, checkpoints, and the work after each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from captioner.data.batches import TrainingBatches
from captioner.progress import Progress
from captioner.training.checkpoint import TrainingState
from captioner.training.config import TrainConfig
from captioner.training.epoch_end import EpochEnd


class Shuffling(keras.callbacks.Callback):
    """Shuffles the batches for the next epoch; a run that was killed within an epoch continues at that batch."""

    async_safe = True  # it reads no logs, so Keras need not wait for the device after every batch

    def __init__(self, batches: TrainingBatches, state: TrainingState) -> None:
        super().__init__()
        self.batches, self.state = batches, state

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shuffle."""
        self.batches.start_at(epoch, self.state.step)


class EpochProgress(keras.callbacks.Callback):
    """Shows the progress of the epoch."""

    async_safe = True

    def __init__(self, steps: int, epochs: int, state: TrainingState) -> None:
        super().__init__()
        self.steps, self.epochs, self.state = steps, epochs, state
        self.progress: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start to count the epoch's batches."""
        self.progress = Progress(f"epoch {epoch + 1}/{self.epochs}", self.steps, "batches", self.state.step).__enter__()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a batch."""
        if self.progress is not None:
            self.progress.advance(1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Remove the bar before the lines about the epoch are printed."""
        if self.progress is not None:
            self.progress.__exit__(None, None, None)
            self.progress = None


class Pace:
    """Counts a run's batches and time, and decides when a checkpoint is due and when the time is up.

    Args:
        state: the run's state, updated in place.
        config: the settings of checkpoints and of the time limit.
    """

    def __init__(self, state: TrainingState, config: TrainConfig) -> None:
        self.state, self.config = state, config
        self._saved = self._began = time.monotonic()
        self._before = 0.0  # seconds of the epoch before this process continued it

    def begin(self) -> None:
        """Start an epoch, or the rest of one."""
        self._began, self._before = time.monotonic(), self.state.seconds

    def count(self) -> None:
        """Count a batch."""
        self.state.step += 1
        self.state.total_steps += 1
        self.state.seconds = self._before + time.monotonic() - self._began

    def out_of_time(self) -> bool:
        """Return whether the run has taken `max_minutes`."""
        minutes = self.config.max_minutes
        if minutes is None:
            return False
        before = sum(row["seconds"] for row in self.state.history) + self._before
        return before + time.monotonic() - self._began >= 60 * minutes

    def due(self) -> bool:
        """Return whether a checkpoint is due; if so, it counts as written."""
        every, minutes, now = self.config.checkpoint_steps, self.config.checkpoint_minutes, time.monotonic()
        by_steps = every is not None and self.state.step % every == 0
        due = by_steps or (minutes is not None and now - self._saved >= 60 * minutes)
        if due:
            self._saved = now
        return due


class Checkpointing(keras.callbacks.Callback):
    """Writes checkpoints within an epoch, and stops when the time is up.

    Args:
        pace: decides when.
        save: writes a checkpoint.
    """

    def __init__(self, pace: Pace, save: Callable[[], None]) -> None:
        super().__init__()
        self.pace, self.save = pace, save
        self.async_safe = pace.config.max_minutes is None  # with a time limit, training must stop right after a batch
        self._trained = False  # whether a batch of the epoch has been trained but not counted

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restore the losses of an epoch that is resumed: Keras has just reset them."""
        self.pace.begin()
        self._trained = False
        if self.pace.state.step:
            for variable, value in zip(self._losses(), self.pace.state.loss, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Count the batch before this one, and write a checkpoint when it is due.

        Keras calls this between two steps. It calls on_train_batch_end in another thread: there the weights may belong
        to any step, and on JAX they may have been donated to the next step.
        """
        if self._trained:
            self.pace.count()
            if self.pace.due():
                if keras.backend.backend() == "jax":
                    self.model.jax_state_sync()
                self.pace.state.loss = [float(ops.convert_to_numpy(variable)) for variable in self._losses()]
                self.save()
        self._trained = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop when the time is up."""
        if self.pace.out_of_time():
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count the last batch; EpochEnd writes the checkpoint."""
        self.pace.count()

    def _losses(self) -> list[keras.Variable]:
        return [variable for metric in self.model.metrics for variable in metric.variables]


class AtEpochEnd(keras.callbacks.Callback):
    """Runs EpochEnd after each epoch, and stops training when EpochEnd says so."""

    def __init__(self, end: EpochEnd) -> None:
        super().__init__()
        self.end = end

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """See EpochEnd.finish."""
        self.end.finish(float((logs or {}).get("loss", "nan")), self.end.progress.seconds)
        self.model.stop_training = self.end.exhausted()
