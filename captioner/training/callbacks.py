"""What happens around an epoch: progress on the screen, and at its end score, best weights, checkpoint and stopping."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from captioner.storage import DataError
from captioner.training.checkpoint import BEST, CHECKPOINT, Progress, save_variables
from captioner.training.config import TrainConfig

LINE_EVERY = 30.0  # seconds between progress lines where there is no terminal


class ProgressLine(keras.callbacks.Callback):
    """A bar on a terminal, a plain line now and then elsewhere."""

    async_safe = True  # it looks at no logs, so Keras need not wait for the device after every batch

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


class EpochEnd(keras.callbacks.Callback):
    """Scores the epoch, keeps the best weights, writes the checkpoint, halves the learning rate, stops.

    Args:
        config: the settings.
        progress: the run's, continued in place.
        score: scores the decoder as it is on the dev split.
        variables: of the decoder and its optimizer: what a checkpoint holds.
        folder: where best weights and checkpoint go.
        identity: digest of settings and data.
        say: takes lines for the user.
    """

    def __init__(
        self,
        config: TrainConfig,
        progress: Progress,
        score: Callable[[], dict[str, float]],
        variables: Sequence[keras.Variable],
        folder: Path,
        identity: str,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.config, self.progress, self.score = config, progress, score
        self.variables, self.folder, self.identity, self.say = variables, folder, identity, say
        self.started = time.monotonic()

    def exhausted(self) -> bool:
        """Tell whether the dev score has not risen for `patience` epochs."""
        patience = self.config.patience
        return patience is not None and self.progress.epoch - self.progress.best_epoch >= patience

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """See the class.

        Raises:
            DataError: the loss is not a number.
        """
        logs = logs or {}
        if not math.isfinite(logs.get("loss", math.nan)):
            raise DataError(f"{self.folder}: the loss is not a number; lower train.learning_rate or check the features")
        rate = float(self.model.optimizer.learning_rate)
        trained = time.monotonic() - self.started
        progress = self.progress
        progress.epoch = epoch + 1
        self._swap_average()
        scores = self.score()
        if self._improves(scores):
            progress.best, progress.best_epoch, progress.waited = scores[self.config.monitor], progress.epoch, 0
            save_variables(self.folder / BEST, self.model.weights, progress, self.identity)
        else:
            progress.waited += 1
        self._swap_average()
        if self.config.schedule == "plateau" and progress.waited >= self.config.plateau_patience:
            self.model.optimizer.learning_rate = rate / 2
            progress.waited = 0
        row = {
            "epoch": progress.epoch,
            "loss": float(logs["loss"]),
            **scores,
            "learning_rate": rate,
            "seconds": trained,
        }
        progress.history.append({name: round(value, 6) for name, value in row.items()})
        save_variables(self.folder / CHECKPOINT, self.variables, progress, self.identity)
        self._report(row)
        if self.exhausted():
            self.say(f"no better {self.config.monitor} for {self.config.patience} epochs: stopping")
            self.model.stop_training = True

    def _improves(self, scores: dict[str, float]) -> bool:
        value, best = scores[self.config.monitor], self.progress.best
        if best is None:
            return True
        if self.config.monitor == "val_loss":
            return value < best
        if value == best:  # captions of a young model or of few pictures may score 0 for epochs
            return scores["val_loss"] < self.progress.history[self.progress.best_epoch - 1]["val_loss"]
        return value > best

    def _swap_average(self) -> None:
        """Exchange the weights and their moving average, so that the average is what is scored and kept."""
        if self.config.ema is None:
            return
        averages = self.model.optimizer._model_variables_moving_average  # no public name for it
        for variable, average in zip(self.model.trainable_variables, averages, strict=True):
            value = keras.ops.copy(variable.value)
            variable.assign(average)
            average.assign(value)

    def _report(self, row: dict[str, float]) -> None:
        best = " (best)" if self.progress.best_epoch == self.progress.epoch else ""
        self.say(
            f"epoch {row['epoch']}/{self.config.epochs}: loss {row['loss']:.4f}, dev loss {row['val_loss']:.4f}, "
            f"dev BLEU-4 {100 * row['bleu_4']:.2f}, CIDEr-D {100 * row['cider_d']:.1f}{best}; {row['seconds']:.1f} s"
        )
