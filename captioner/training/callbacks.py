"""What Keras calls during training: progress on the screen, and what follows an epoch."""

from __future__ import annotations

import time
from typing import Any

import keras

from captioner.data.batches import CaptionBatches
from captioner.progress import Progress
from captioner.training.epoch_end import EpochEnd


class Shuffling(keras.callbacks.Callback):
    """Shuffles the batches for the epoch that begins."""

    async_safe = True  # it looks at no logs, so Keras need not wait for the device after every batch

    def __init__(self, batches: CaptionBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shuffle."""
        self.batches.start_at(epoch)


class EpochProgress(keras.callbacks.Callback):
    """Shows how far the epoch is."""

    async_safe = True

    def __init__(self, steps: int, epochs: int) -> None:
        super().__init__()
        self.steps, self.epochs = steps, epochs
        self.progress: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin to count the epoch's batches."""
        self.progress = Progress(f"epoch {epoch + 1}/{self.epochs}", self.steps, "batches").__enter__()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a batch."""
        if self.progress is not None:
            self.progress.advance(1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the bar away, before the lines about the epoch are printed."""
        if self.progress is not None:
            self.progress.__exit__(None, None, None)
            self.progress = None


class AtEpochEnd(keras.callbacks.Callback):
    """Does after each epoch what EpochEnd does, and stops when that says so."""

    def __init__(self, end: EpochEnd) -> None:
        super().__init__()
        self.end = end
        self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """See EpochEnd.finish."""
        self.end.finish(float((logs or {}).get("loss", "nan")), time.monotonic() - self.started)
        self.model.stop_training = self.end.exhausted()
