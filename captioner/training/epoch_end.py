"""The work after an epoch in every training loop: score, best weights, checkpoint, learning rate, stopping."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
from keras import ops

from captioner.models.decoder import CaptionDecoder
from captioner.output_places import require_space
from captioner.storage import DataError
from captioner.training.best_epoch import DIGITS, Ranking
from captioner.training.best_weights import BestWeights
from captioner.training.board import open_board
from captioner.training.checkpoint import TrainingState, save_checkpoint, save_variables
from captioner.training.config import TrainConfig
from captioner.training.epoch_line import TimeLeft, describe_epoch
from captioner.training.recent_weights import RecentWeights

logger = logging.getLogger(__name__)

FLOAT32_BYTES = 4


class Score(Protocol):
    """Scores a decoder with its current weights on the dev split."""

    def __call__(self, captions: bool = True) -> dict[str, float]:
        """Return scores by name; without `captions`, only those that need no generated captions."""
        ...


class EpochEnd:
    """Scores the epoch, keeps the best weights, writes the checkpoint, halves the learning rate, decides when to stop.

    Args:
        decoder: the decoder in training.
        optimizer: its optimizer; its `learning_rate` can be set.
        config: the settings.
        progress: the run's progress, updated in place.
        score: scores the decoder with its current weights on the dev split.
        variables: the variables of the decoder and its optimizer, which a checkpoint holds.
        folder: the folder of best weights and checkpoints.
        identity: digest of settings and data.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        optimizer: Any,
        config: TrainConfig,
        progress: TrainingState,
        score: Score,
        variables: Sequence[keras.Variable],
        folder: Path,
        identity: str,
    ) -> None:
        self.decoder, self.optimizer, self.config = decoder, optimizer, config
        self.progress, self.score = progress, score
        self.variables, self.folder, self.identity = variables, folder, identity
        self.ranking = Ranking(config.monitor, config.best_by == "neighbours")
        self._own = RecentWeights(folder, "epoch", config.average_epochs, identity)
        self._scored = RecentWeights(folder, "scored", 2, identity)
        self._best = BestWeights(folder, identity)
        self._left = TimeLeft(config, progress)
        held = [*variables, *decoder.weights]
        require_space(folder, FLOAT32_BYTES * sum(math.prod(each.shape) for each in held), "training")
        self._board = open_board(config.tensorboard, folder.parent)

    def exhausted(self) -> bool:
        """Return whether to stop training: no better dev score for `patience` epochs, or `max_minutes` are over.

        An epoch that a resumed run has begun goes on for a batch even if the time is over, so that it is scored.
        """
        return self._waited_enough() or (self._out_of_time() and not self.progress.step)

    def _waited_enough(self) -> bool:
        """Return whether the dev score has not risen for `patience` epochs, counted from the first that beat chance."""
        patience, progress = self.config.patience, self.progress
        return patience is not None and self.ranking.waited(progress.history, progress.best_epoch) >= patience

    def _out_of_time(self) -> bool:
        minutes = self.config.max_minutes
        return minutes is not None and self.progress.spent >= 60 * minutes

    def finish(self, loss: float, seconds: float) -> None:
        """See the class.

        Args:
            loss: the epoch's training loss.
            seconds: the duration of its training.

        Raises:
            DataError: the loss is not a number.
        """
        if not math.isfinite(loss):
            raise DataError(f"{self.folder}: the loss is not a number; lower train.learning_rate or check the features")
        rate = float(self.optimizer.learning_rate)
        progress, began = self.progress, time.monotonic()
        progress.epoch += 1
        progress.seconds = seconds
        last = progress.epoch >= self.config.epochs or self._out_of_time()
        best_before = progress.best_epoch
        with self._weights_to_score():
            captions = last or progress.epoch % self.config.score_every == 0
            scores = self.score() if captions else self.score(captions=False)
            row = {"epoch": progress.epoch, "loss": loss, **scores, "learning_rate": rate, "seconds": seconds}
            progress.history.append({name: round(value, DIGITS) for name, value in row.items()})
            progress.begin_epoch()
            self._choose(last)
        self._lower_rate(rate)
        if self._board is not None:
            self._board.write(row)
        self.save()
        self._left.count(seconds + time.monotonic() - began)
        best = progress.best_epoch if progress.best_epoch != best_before else None
        logger.info(describe_epoch(row, self.config.epochs, best, "" if self.exhausted() else self._left.line()))
        if self._waited_enough():
            logger.info(f"stopping: no better {self.config.monitor} for {self.config.patience} epochs")
        elif self._out_of_time():
            logger.info(f"stopping: the {self.config.max_minutes:g} minutes of train.max_minutes are over")

    def restore_best(self) -> None:
        """Give the decoder the weights of the best epoch.

        Raises:
            DataError: they could not be written or read.
        """
        if not self.progress.best_epoch:
            raise DataError(f"{self.folder}: no epoch's weights could be written; free disk space and train again")
        self._best.load(self.decoder.weights, self.progress.best_epoch)

    def save(self) -> None:
        """Write a checkpoint; if that fails, log it: the previous one is complete, and training can continue."""
        try:
            save_checkpoint(self.folder, self.variables, self.progress, self.identity)
            self._best.settle(self.progress.best_epoch)
        except DataError as error:
            logger.warning(f"no checkpoint was written; training continues: {error}")

    def _choose(self, last: bool) -> None:
        """Keep the weights of the best epoch among those that can be ranked now; the decoder has the newest weights."""
        progress, ranking = self.progress, self.ranking
        if ranking.with_neighbours and ranking.counts(progress.history[-1]):
            self._scored.keep(self.decoder.weights, progress)
        progress.waited += 1
        for row in ranking.judged(progress.history, last):
            rank, epoch = ranking.rank(progress.history, row), int(row["epoch"])
            if (not progress.best_epoch or rank > self._best_rank()) and self._keep_best(epoch):
                progress.best, progress.best_epoch = row[self.config.monitor], epoch
                progress.waited = progress.epoch - epoch

    def _best_rank(self) -> tuple[float, ...]:
        return self.ranking.rank(self.progress.history, self.progress.history[self.progress.best_epoch - 1])

    def _keep_best(self, epoch: int) -> bool:
        """Keep the weights of an epoch as the best; return whether they could be written."""

        def write(path: Path) -> None:
            if epoch == self.progress.epoch:
                save_variables(path, self.decoder.weights, self.progress, self.identity)
            else:
                self._scored.copy(epoch, path)

        try:
            self._best.keep(write, self.progress.best_epoch)
        except DataError as error:
            logger.warning(f"epoch {epoch} is the best, but its weights were not saved; training continues: {error}")
            return False
        return True

    def _lower_rate(self, rate: float) -> None:
        """Halve the learning rate of the `plateau` schedule if the score has not risen for long enough."""
        progress = self.progress
        judged = self.ranking.judged(progress.history, last=False)
        if self.config.schedule != "plateau" or not judged:
            return
        not_judged = progress.epoch - judged[-1]["epoch"]  # epochs that wait for a neighbour: they may be better
        if progress.waited - not_judged >= self.config.plateau_patience:
            self.optimizer.learning_rate = rate / 2
            progress.waited = 0

    @contextlib.contextmanager
    def _weights_to_score(self) -> Iterator[None]:
        """Give the decoder the weights to score and keep: its own, their moving average, or a mean of epochs."""
        self._swap_average()
        own = None
        if self.config.average_epochs > 1:
            self._own.keep(self.decoder.weights, self.progress)
            mean = self._own.mean(self.progress.epoch)
            own = [ops.convert_to_numpy(weight).copy() for weight in self.decoder.weights]
            self._assign(mean or own)
        yield
        if own is not None:
            self._assign(own)
        self._swap_average()

    def _assign(self, values: Sequence[Any]) -> None:
        for weight, value in zip(self.decoder.weights, values, strict=True):
            weight.assign(ops.cast(value, weight.dtype))

    def _swap_average(self) -> None:
        """Swap the weights with their moving average, so that the average is scored and kept."""
        if self.config.ema is None:
            return
        averages = self.optimizer._model_variables_moving_average  # no public name for it
        for variable, average in zip(self.decoder.trainable_variables, averages, strict=True):
            value = ops.copy(variable.value)
            variable.assign(average)
            average.assign(value)
