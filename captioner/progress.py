"""How far long work has come: a bar on a terminal, a logged line every 30 seconds elsewhere."""

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
    """A context in which `advance` counts what has been done.

    The speed is measured from the end of the first `advance`: the first step often compiles a network or opens a
    connection, which says nothing about the rest.

    Args:
        what: the work, the beginning of the line.
        total: how much there is to do; None where it is not known.
        unit: of the count, in the plural, or "B" for bytes.
        done: how much was done before.
        clock: returns seconds.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self._clock, self._last_line = clock, clock()
        self._first: tuple[float, int] | None = None  # when the first step was over, and what was done by then
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
        """Units a second since the first step; 0.0 while there has been no second one."""
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
        """Return the count, the speed, and how long the rest will take."""
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
    from tqdm import tqdm  # only on a terminal: it takes a tenth of the time in which a wrong call is answered

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
    """Return a count for people: `1.12 GB`, `7,000 pictures`."""
    if unit != BYTES:
        return f"{count:,} {unit}"
    for size, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {name}" if count < 100 * size else f"{count / size:,.0f} {name}"
    return f"{count} bytes"


def duration(seconds: float) -> str:
    """Return a length of time for people.

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
