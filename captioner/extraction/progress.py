"""How far a long run is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0

Say = Callable[[str], None]


@dataclass
class Progress:
    """Counts pictures.

    Attributes:
        done: pictures that were done before.
        total: pictures there are.
        say: takes the lines.
    """

    done: int
    total: int
    say: Say
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._start, self._last = self.done, self.began
        self._bar = tqdm(total=self.total, initial=self.done, unit=" pictures") if sys.stderr.isatty() else None

    def advance(self, count: int) -> None:
        """Count pictures that are done."""
        self.done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(count)
        elif now - self._last >= SECONDS_BETWEEN_LINES:
            rate = (self.done - self._start) / (now - self.began)
            left = (self.total - self.done) / rate
            self.say(f"{self.done} of {self.total} pictures, {rate:.1f} a second, {left / 60:.0f} minutes left")
            self._last = now

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
