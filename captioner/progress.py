"""Progress of long work: a bar on a terminal, otherwise a logged line every 30 seconds."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0
BYTES = "B"


class Progress:
    """A context manager whose method `advance` counts the finished work.

    The speed is measured from the end of the first `advance`, because the first step often compiles a network or opens
    a connection and takes longer than the others.

    Args:
        what: the work, at the beginning of the line.
        total: total amount of work; None if it is not known.
        unit: unit of the count, in the plural, or "B" for bytes.
        done: amount of work that was done before.
        clock: returns seconds.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self._clock, self._last_line = clock, clock()
        self._first: tuple[float, int] | None = None  # end of the first step, and the count at that time
        self._now = self._last_line
        self._bar: Any = _bar(what, total, unit, done) if sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def speed(self) -> float:
        """Units per second since the first step; 0.0 before the second step."""
        if self._first is None or self._now <= self._first[0]:
            return 0.0
        return (self.done - self._first[1]) / (self._now - self._first[0])

    def advance(self, count: int) -> None:
        """Count `count` more as done."""
        self.done += count
        self._now = self._clock()
        if self._bar is not None:
            self._bar.update(count)
        if self._first is None:
            self._first = (self._now, self.done)
            if self._bar is not None:
                self._bar.initial, self._bar.start_t = self.done, time.time()  # tqdm's own clock
        if self._bar is None and self._now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = self._now
            logger.info(self.line())

    def line(self) -> str:
        """Return the count, the speed, and the remaining time."""
        done = amount(self.done, self.unit)
        if self.total is not None:
            done = f"{done.removesuffix(f' {self.unit}')} of {amount(self.total, self.unit)}"
        parts = [f"{self.what}: {done}"]
        speed = self.speed
        if speed > 0:
            parts.append(f"{amount(round(speed), BYTES)}/s" if self.unit == BYTES else f"{speed:.1f} {self.unit}/s")
            if self.total is not None:
                parts.append(f"{duration((self.total - self.done) / speed)} left")
        return ", ".join(parts)


def _bar(what: str, total: int | None, unit: str, done: int) -> Any:
    from tqdm import tqdm  # only on a terminal, because this import takes a tenth of the time of a failing call

    return tqdm(
        desc=what,
        total=total,
        initial=done,
        unit=unit if unit == BYTES else f" {unit}",
        unit_scale=unit == BYTES,
        smoothing=0,  # one speed: the mean since the first step
        leave=False,
    )


def amount(count: int, unit: str) -> str:
    """Return a readable count, such as `1.12 GB` or `7,000 pictures`."""
    if unit != BYTES:
        return f"{count:,} {unit}"
    for size, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {name}" if count < 100 * size else f"{count / size:,.0f} {name}"
    return f"{count} bytes"


def duration(seconds: float) -> str:
    """Return a readable length of time.

    >>> duration(20), duration(61), duration(7500)
    ('less than a minute', '1 minute', '2 hours 5 minutes')
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, rest = divmod(minutes, 60)
    parts = [_counted(hours, "hour")] if hours else []
    if rest or not hours:
        parts.append(_counted(rest, "minute"))
    return " ".join(parts)


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" + ("" if count == 1 else "s")
