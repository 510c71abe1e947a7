"""How far long work over a data set has come: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0

Say = Callable[[str], None]


class Progress:
    """A context in which `advance` tells how much has been done.

    Args:
        what: what is being done, the beginning of the line.
        total: how much there is to do; None where nobody knows.
        unit: what is counted: "pictures" or "B".
        say: takes the lines where there is no terminal.
        done: how much was done before.
    """

    def __init__(self, what: str, total: int | None, unit: str, say: Say, done: int = 0) -> None:
        self.what, self.total, self.unit, self.say, self.done = what, total, unit, say, done
        self._last = time.monotonic()
        self._bar = (
            tqdm(
                desc=what,
                total=total,
                initial=done,
                unit=unit if unit == "B" else f" {unit}",
                unit_scale=unit == "B",
                leave=False,
            )
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int) -> None:
        """Count `count` more as done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            done, total = amount(self.done, self.unit), self.total
            if total is not None:
                done = f"{done.removesuffix(f' {self.unit}')} of {amount(total, self.unit)}"
            self.say(f"{self.what}: {done}")


def amount(count: int, unit: str) -> str:
    """Return a count for people: `1.12 GB`, `7,000 pictures`."""
    if unit != "B":
        return f"{count:,} {unit}"
    for size, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {name}" if count < 100 * size else f"{count / size:,.0f} {name}"
    return f"{count} bytes"
