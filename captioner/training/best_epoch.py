"""Which epoch is the best, told from the rows of a run's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CHANCE = "chance"  # among an epoch's scores: what the monitored one is when the captions go to the wrong pictures
DIGITS = 6  # of the numbers in a history

Row = Mapping[str, float]


class Ranking:
    """The order of epochs by a recipe's settings.

    Args:
        monitor: the score that counts, see TrainConfig.
        with_neighbours: whether the scores of the epochs beside one count, too.
    """

    def __init__(self, monitor: str, with_neighbours: bool) -> None:
        self.monitor, self.with_neighbours = monitor, with_neighbours

    def counts(self, row: Row) -> bool:
        """Tell whether an epoch can be the best: whether it has the score that counts."""
        return self.monitor in row

    def beats_chance(self, row: Row) -> bool:
        """Tell whether an epoch's captions score more than they do for the wrong pictures: below, a score is chance."""
        if self.monitor == "val_loss":
            return True
        return self.counts(row) and row[self.monitor] > row.get(CHANCE, 0.0)

    def judged(self, history: Sequence[Row], last: bool) -> list[Row]:
        """Return the rows of the epochs about which the newest row has made all known that there will be.

        Args:
            history: all rows so far.
            last: whether no epoch follows, so that the newest one has no neighbour to wait for.
        """
        if not self.counts(history[-1]):
            return []
        if not self.with_neighbours:
            return [history[-1]]
        counting = [row for row in history if self.counts(row)]
        return counting[-2:] if last else counting[-2:-1]

    def rank(self, history: Sequence[Row], row: Row) -> tuple[float, ...]:
        """Return a key that is greater for a better epoch: the score where there is one, else the loss."""
        seen = self._mean(history, row) if self.with_neighbours else row
        if self.monitor == "val_loss":
            return (-seen["val_loss"],)
        score = seen[self.monitor] if self.beats_chance(seen) else float("-inf")
        return score, -seen["val_loss"]

    def _mean(self, history: Sequence[Row], row: Row) -> Row:
        """Return the mean of a row and those beside it, of the rows that count."""
        counting = [other for other in history if self.counts(other)]
        place = next(place for place, other in enumerate(counting) if other["epoch"] == row["epoch"])
        beside = counting[max(0, place - 1) : place + 2]
        shared = [name for name in row if all(name in other for other in beside)]  # not all epochs' captions are scored
        return {name: sum(other[name] for other in beside) / len(beside) for name in shared}

    def waited(self, history: Sequence[Row], best_epoch: int) -> int:
        """Return for how many epochs the score has not risen, counted from the first that scored at all.

        Args:
            history: all rows so far.
            best_epoch: the best epoch so far, 0 before the first.
        """
        judged = self.judged(history, last=False) if history else []
        scored = [row["epoch"] for row in history if self.beats_chance(row)]
        if not judged or not scored:
            return 0
        return int(judged[-1]["epoch"] - max(best_epoch, scored[0]))
