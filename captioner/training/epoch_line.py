"""The line that is printed after an epoch: its loss and scores, and the remaining time of the run."""

from __future__ import annotations

from collections.abc import Mapping

from captioner.progress import duration
from captioner.training.checkpoint import TrainingState
from captioner.training.config import TrainConfig


class TimeLeft:
    """Estimates the remaining time of a run from the epochs that this process has trained.

    The first of these epochs often includes compilation, so it is left out as soon as there is another one.

    Args:
        config: the number of epochs and the time limit.
        progress: the run's progress.
    """

    def __init__(self, config: TrainConfig, progress: TrainingState) -> None:
        self.config, self.progress = config, progress
        self._seconds: list[float] = []  # of each epoch, including its scores

    def count(self, seconds: float) -> None:
        """Count an epoch that took `seconds`, including its scores."""
        self._seconds.append(seconds)

    def seconds(self) -> float:
        """Return the seconds that are left if training does not stop early."""
        known = self._seconds[1:] or self._seconds
        left = (self.config.epochs - self.progress.epoch) * sum(known) / len(known)
        if self.config.max_minutes is not None:
            left = min(left, 60 * self.config.max_minutes - self.progress.spent)
        return left

    def line(self) -> str:
        """Return the remaining time as text; an empty string after the last epoch."""
        return f"{duration(self.seconds())} left" if self.progress.epoch < self.config.epochs else ""


def describe_epoch(row: Mapping[str, float], epochs: int, best: int | None, left: str) -> str:
    """Return an epoch's line.

    Args:
        row: its loss and scores; scores of captions only if captions were generated.
        epochs: the run's number of epochs.
        best: the best epoch, if it has just changed; None otherwise.
        left: the remaining time as text.
    """
    parts = [f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f}", f"dev loss {row['val_loss']:.4f}"]
    if "val_perplexity" in row:
        parts[-1] += f" (perplexity {row['val_perplexity']:.2f})"
    if "cider_d" in row:
        parts += [f"dev BLEU-4 {100 * row['bleu_4']:.2f}", f"CIDEr-D {100 * row['cider_d']:.1f}"]
    if best is not None:
        parts[-1] += " (best)" if best == row["epoch"] else f" (epoch {best} is the best)"
    time = f"{row['seconds']:.1f} s" + (f", {left}" if left else "")
    return f"{', '.join(parts)}; {time}"
