"""Finds the best epoch from the rows of a run's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CHANCE = "chance"  # an epoch's monitored score when the captions are assigned to the wrong pictures
DIGITS = 6  # decimals of the numbers in a history

Row = Mapping[str, float]


class Ranking:
    """The order of epochs by a recipe's settings.

    Args:
        monitor: the score that ranks the epochs, see TrainConfig.
        with_neighbours: whether the scores of the epochs before and after are averaged with an epoch's.
    """

    def __init__(self, monitor: str, with_neighbours: bool) -> None:
        self.monitor, self.with_neighbours = monitor, with_neighbours

    def counts(self, row: Row) -> bool:
        """Return whether an epoch can be the best: whether it has the monitored score."""
        return self.monitor in row

    def beats_chance(self, row: Row) -> bool:
        """Return whether an epoch's captions score more for their pictures than for the wrong ones (chance)."""
        if self.monitor == "val_loss":
            return True
        return self.counts(row) and row[self.monitor] > row.get(CHANCE, 0.0)

    def judged(self, history: Sequence[Row], last: bool) -> list[Row]:
        """Return the rows of the epochs that can be ranked for good once the newest row is known.

        Args:
            history: all rows so far.
            last: whether this is the last epoch, so that the newest row need not wait for its neighbour.
        """
        if not self.counts(history[-1]):
            return []
        if not self.with_neighbours:
            return [history[-1]]
        counting = [row for row in history if self.counts(row)]
        return counting[-2:] if last else counting[-2:-1]

    def rank(self, history: Sequence[Row], row: Row) -> tuple[float, ...]:
        """Return a key that is greater for a better epoch: the score if it beats chance, else the loss."""
        seen = self._mean(history, row) if self.with_neighbours else row
        if self.monitor == "val_loss":
            return (-seen["val_loss"],)
        score = seen[self.monitor] if self.beats_chance(seen) else float("-inf")
        return score, -seen["val_loss"]

    def _mean(self, history: Sequence[Row], row: Row) -> Row:
        """Return the mean of a row and its neighbours among the rows with the monitored score."""
        counting = [other for other in history if self.counts(other)]
        place = next(place for place, other in enumerate(counting) if other["epoch"] == row["epoch"])
        beside = counting[max(0, place - 1) : place + 2]
        shared = [name for name in row if all(name in other for other in beside)]  # some epochs lack some scores
        return {name: sum(other[name] for other in beside) / len(beside) for name in shared}

    def waited(self, history: Sequence[Row], best_epoch: int) -> int:
        """Return for how many epochs the score has not risen, counted from the first that beat chance.

        Args:
            history: all rows so far.
            best_epoch: the best epoch so far, 0 before the first.
        """
        judged = self.judged(history, last=False) if history else []
        scored = [row["epoch"] for row in history if self.beats_chance(row)]
        if not judged or not scored:
            return 0
        return int(judged[-1]["epoch"] - max(best_epoch, scored[0]))
