"""The searches of a captioner, each made once. Needs no Keras."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from captioner.config import ConfigError
from captioner.generation.config import GenerationConfig

MOST = 32  # a server with a new seed in every request would otherwise keep a compiled search for each


class Searches:
    """Makes searches and keeps the last MOST that were used; safe to use from several threads.

    Args:
        make: makes the search that returns a number of captions per picture with a configuration.
    """

    def __init__(self, make: Callable[[int, GenerationConfig], Any]) -> None:
        self._make, self._lock = make, threading.RLock()
        self._made: dict[tuple[int, GenerationConfig], Any] = {}

    def get(self, n: int, config: GenerationConfig) -> Any:
        """Return the search. Raises ConfigError: it is impossible, such as more captions than hypotheses."""
        with self._lock:
            try:
                search = self._made.pop((n, config)) if (n, config) in self._made else self._make(n, config)
            except ValueError as error:
                raise ConfigError(str(error)) from None
            self._made[n, config] = search
            if len(self._made) > MOST:
                self._made.pop(next(iter(self._made)))  # the one that was not used for longest
            return search
