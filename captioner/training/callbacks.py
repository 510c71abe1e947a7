"""What Keras calls during training: progress on the screen, and what follows an epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import keras
from tqdm import tqdm

from captioner.data.batches import CaptionBatches
from captioner.training.epoch_end import EpochEnd

LINE_EVERY = 30.0  # seconds between progress lines where there is no terminal


class Shuffling(keras.callbacks.Callback):
    """Shuffles the batches for the epoch that begins."""

    async_safe = True  # it looks at no logs, so Keras need not wait for the device after every batch

    def __init__(self, batches: CaptionBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shuffle."""
        self.batches.start_at(epoch)


class ProgressLine(keras.callbacks.Callback):
    """A bar on a terminal, a plain line now and then elsewhere."""

    async_safe = True

    def __init__(self, steps: int, epochs: int, say: Callable[[str], None]) -> None:
        super().__init__()
        self.steps, self.epochs, self.say = steps, epochs, say
        self.bar: Any = None
        self.epoch = 0
        self.last = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin the epoch's bar."""
        self.epoch = epoch + 1
        if sys.stderr.isatty():
            self.bar = tqdm(total=self.steps, desc=f"epoch {self.epoch}/{self.epochs}", unit="batch", leave=False)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar, or say a line when it is time."""
        if self.bar is not None:
            self.bar.update(1)
        elif time.monotonic() - self.last > LINE_EVERY:
            self.last = time.monotonic()
            self.say(f"epoch {self.epoch}/{self.epochs}: batch {batch + 1} of {self.steps}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


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
