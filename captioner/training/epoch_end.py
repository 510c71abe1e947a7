"""What follows an epoch, whatever trained it: score, best weights, checkpoint, a lower learning rate, stopping."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from captioner.models.decoder import CaptionDecoder
from captioner.run_folder import BEST
from captioner.storage import DataError
from captioner.training.checkpoint import TrainingState, save_checkpoint, save_variables
from captioner.training.config import TrainConfig

logger = logging.getLogger(__name__)

CHANCE = "chance"  # among an epoch's scores: what the monitored one is when the captions go to the wrong pictures
DIGITS = 6  # of the scores in a run's history


class EpochEnd:
    """Scores the epoch, keeps the best weights, writes the checkpoint, halves the learning rate, says when to stop.

    Args:
        decoder: what is trained.
        optimizer: what trains it; its `learning_rate` can be set.
        config: the settings.
        progress: the run's, continued in place.
        score: scores the decoder as it is on the dev split.
        variables: of the decoder and its optimizer: what a checkpoint holds.
        folder: where best weights and checkpoint go.
        identity: digest of settings and data.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        optimizer: Any,
        config: TrainConfig,
        progress: TrainingState,
        score: Callable[[], dict[str, float]],
        variables: Sequence[keras.Variable],
        folder: Path,
        identity: str,
    ) -> None:
        self.decoder, self.optimizer, self.config = decoder, optimizer, config
        self.progress, self.score = progress, score
        self.variables, self.folder, self.identity = variables, folder, identity

    def exhausted(self) -> bool:
        """Tell whether training is to stop: no better dev score for `patience` epochs, or the minutes are up."""
        return self._waited_enough() or self._out_of_time()

    def _waited_enough(self) -> bool:
        """Tell whether the dev score has not risen for `patience` epochs, counted from the first that scored at all."""
        patience, progress = self.config.patience, self.progress
        if patience is None:
            return False
        scored = [index for index, row in enumerate(progress.history, start=1) if self._scores(row)]
        return bool(scored) and progress.epoch - max(progress.best_epoch, scored[0]) >= patience

    def _out_of_time(self) -> bool:
        minutes = self.config.max_minutes
        return minutes is not None and self.progress.spent >= 60 * minutes

    def finish(self, loss: float, seconds: float) -> None:
        """See the class.

        Args:
            loss: the epoch's.
            seconds: that its training took.

        Raises:
            DataError: the loss is not a number.
        """
        if not math.isfinite(loss):
            raise DataError(f"{self.folder}: the loss is not a number; lower train.learning_rate or check the features")
        rate = float(self.optimizer.learning_rate)
        progress = self.progress
        progress.epoch += 1
        self._swap_average()
        scores = self.score()
        if self._improves(scores) and self._keep_best():
            progress.best, progress.best_epoch, progress.waited = scores[self.config.monitor], progress.epoch, 0
        else:
            progress.waited += 1
        self._swap_average()
        if self.config.schedule == "plateau" and progress.waited >= self.config.plateau_patience:
            self.optimizer.learning_rate = rate / 2
            progress.waited = 0
        row = {
            "epoch": progress.epoch,
            "loss": loss,
            **scores,
            "learning_rate": rate,
            "seconds": seconds,
        }
        progress.history.append({name: round(value, DIGITS) for name, value in row.items()})
        progress.step, progress.loss, progress.seconds = 0, [], 0.0
        self.save()
        self._report(row)
        if self._waited_enough():
            logger.info(f"no better {self.config.monitor} for {self.config.patience} epochs: stopping")
        elif self._out_of_time():
            logger.info(f"train.max_minutes: {self.config.max_minutes:g} minutes are up: stopping")

    def save(self) -> None:
        """Write a checkpoint; where that fails, say so: the former one is whole, and training can go on."""
        try:
            save_checkpoint(self.folder, self.variables, self.progress, self.identity)
        except DataError as error:
            logger.warning(f"no checkpoint was written; training continues: {error}")

    def _keep_best(self) -> bool:
        """Keep the weights as they are as the best; return whether that worked."""
        try:
            save_variables(self.folder / BEST, self.decoder.weights, self.progress, self.identity)
        except DataError as error:
            logger.warning(f"this epoch's weights are the best and were not kept; training continues: {error}")
            return False
        return True

    def _improves(self, scores: dict[str, float]) -> bool:
        return self.progress.best is None or self._rank(scores) > self._rank(self._best_row())

    def _best_row(self) -> dict[str, float]:
        return self.progress.history[self.progress.best_epoch - 1]

    def _scores(self, row: dict[str, float]) -> bool:
        """Tell whether an epoch's captions score more than they do for the wrong pictures: below, a score is chance."""
        return self.config.monitor == "val_loss" or row[self.config.monitor] > row.get(CHANCE, 0.0)

    def _rank(self, row: dict[str, float]) -> tuple[float, ...]:
        """Return what is greater for a better epoch: epochs that score, by their score; of the others, by the loss."""
        if self.config.monitor == "val_loss":
            return (-row["val_loss"],)
        # the history is rounded, and an epoch is compared as it will stand there
        score = round(row[self.config.monitor], DIGITS) if self._scores(row) else float("-inf")
        return score, -row["val_loss"]

    def _swap_average(self) -> None:
        """Exchange the weights and their moving average, so that the average is what is scored and kept."""
        if self.config.ema is None:
            return
        averages = self.optimizer._model_variables_moving_average  # no public name for it
        for variable, average in zip(self.decoder.trainable_variables, averages, strict=True):
            value = keras.ops.copy(variable.value)
            variable.assign(average)
            average.assign(value)

    def _report(self, row: dict[str, float]) -> None:
        best = " (best)" if self.progress.best_epoch == self.progress.epoch else ""
        logger.info(
            f"epoch {row['epoch']}/{self.config.epochs}: loss {row['loss']:.4f}, dev loss {row['val_loss']:.4f}, "
            f"dev BLEU-4 {100 * row['bleu_4']:.2f}, CIDEr-D {100 * row['cider_d']:.1f}{best}; {row['seconds']:.1f} s"
        )
