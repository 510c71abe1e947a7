"""What Keras calls during training: progress on the screen, and what follows an epoch."""

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
    """Shuffles the batches for the epoch that begins; a run that was killed in it begins where it was killed."""

    async_safe = True  # it looks at no logs, so Keras need not wait for the device after every batch

    def __init__(self, batches: TrainingBatches, state: TrainingState) -> None:
        super().__init__()
        self.batches, self.state = batches, state

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shuffle."""
        self.batches.start_at(epoch, self.state.step)


class EpochProgress(keras.callbacks.Callback):
    """Shows how far the epoch is."""

    async_safe = True

    def __init__(self, steps: int, epochs: int, state: TrainingState) -> None:
        super().__init__()
        self.steps, self.epochs, self.state = steps, epochs, state
        self.progress: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin to count the epoch's batches."""
        self.progress = Progress(f"epoch {epoch + 1}/{self.epochs}", self.steps, "batches", self.state.step).__enter__()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a batch."""
        if self.progress is not None:
            self.progress.advance(1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the bar away, before the lines about the epoch are printed."""
        if self.progress is not None:
            self.progress.__exit__(None, None, None)
            self.progress = None


class Pace:
    """Counts a run's batches and time, and says when a checkpoint is due and when the time is up.

    Args:
        state: the run's, continued in place.
        config: says how often, and how long.
    """

    def __init__(self, state: TrainingState, config: TrainConfig) -> None:
        self.state, self.config = state, config
        self._saved = self._began = time.monotonic()
        self._before = 0.0  # seconds that the epoch had taken when this process came to it

    def begin(self) -> None:
        """Begin an epoch, or the rest of one."""
        self._began, self._before = time.monotonic(), self.state.seconds

    def count(self) -> None:
        """Count a batch."""
        self.state.step += 1
        self.state.total_steps += 1
        self.state.seconds = self._before + time.monotonic() - self._began

    def out_of_time(self) -> bool:
        """Tell whether the run has taken `max_minutes`."""
        minutes = self.config.max_minutes
        if minutes is None:
            return False
        before = sum(row["seconds"] for row in self.state.history) + self._before
        return before + time.monotonic() - self._began >= 60 * minutes

    def due(self) -> bool:
        """Tell whether a checkpoint is due; it counts as written then."""
        every, minutes, now = self.config.checkpoint_steps, self.config.checkpoint_minutes, time.monotonic()
        by_steps = every is not None and self.state.step % every == 0
        due = by_steps or (minutes is not None and now - self._saved >= 60 * minutes)
        if due:
            self._saved = now
        return due


class Checkpointing(keras.callbacks.Callback):
    """Writes checkpoints within an epoch, and stops when the time is up.

    Args:
        pace: says when.
        save: writes a checkpoint.
    """

    def __init__(self, pace: Pace, save: Callable[[], None]) -> None:
        super().__init__()
        self.pace, self.save = pace, save
        self.async_safe = pace.config.max_minutes is None  # the batch that ends the run's time has to be the last one
        self._trained = False  # whether a batch of the epoch has been trained and not been counted

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Give an epoch that is being resumed its losses back: Keras has just set them to nothing."""
        self.pace.begin()
        self._trained = False
        if self.pace.state.step:
            for variable, value in zip(self._losses(), self.pace.state.loss, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Count the batch before this one, and write a checkpoint when it is due.

        Keras calls this between two steps. It calls on_train_batch_end in another thread, in which the weights may be
        those of any step, or be given away to the next one on JAX.
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
        """Count the last batch: what follows the epoch writes its checkpoint."""
        self.pace.count()

    def _losses(self) -> list[keras.Variable]:
        return [variable for metric in self.model.metrics for variable in metric.variables]


class AtEpochEnd(keras.callbacks.Callback):
    """Does after each epoch what EpochEnd does, and stops when that says so."""

    def __init__(self, end: EpochEnd) -> None:
        super().__init__()
        self.end = end

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """See EpochEnd.finish."""
        self.end.finish(float((logs or {}).get("loss", "nan")), self.end.progress.seconds)
        self.model.stop_training = self.end.exhausted()
