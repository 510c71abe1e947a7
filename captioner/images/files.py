"""Picture files in the order in which they were named, a few dozen bytes each; unlike `Pictures` they need no ids."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

FIRST_ROOM = 1024  # files; doubled whenever they do not fit


class PictureFiles:
    """A list of files that can grow while it is worked through.

    Attributes:
        named_alone: whether one file was asked for by its own name, and nothing else.
    """

    def __init__(self) -> None:
        self.named_alone = False
        self._text = bytearray()  # the paths one after the other
        self._ends = np.zeros(FIRST_ROOM, np.int64)
        self._bytes = np.zeros(FIRST_ROOM, np.int64)
        self._modified = np.zeros(FIRST_ROOM, np.int64)
        self._count = 0

    def append(self, path: str | Path, size: int = 0, modified: int = 0) -> int:
        """Add a file, its size and when it was changed last, where they are known; return its place."""
        if self._count == len(self._ends):
            for name in ("_ends", "_bytes", "_modified"):
                setattr(self, name, np.resize(getattr(self, name), 2 * self._count))
        self._text += os.fsencode(path)
        self._ends[self._count] = len(self._text)
        self._bytes[self._count], self._modified[self._count] = size, modified
        self._count += 1
        return self._count - 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Path]:
        return (self.path(place) for place in range(self._count))

    def path(self, place: int) -> Path:
        """Return a file's path."""
        start = int(self._ends[place - 1]) if place else 0
        return Path(os.fsdecode(bytes(self._text[start : int(self._ends[place])])))

    def relative(self, place: int) -> str:
        """Return a file's path as it was named."""
        return str(self.path(place))

    @property
    def bytes(self) -> np.ndarray:
        """The files' sizes, (files,), 0 where they are not known."""
        return self._bytes[: self._count]

    @property
    def modified(self) -> np.ndarray:
        """When the files were changed last, (files,) in nanoseconds, 0 where that is not known."""
        return self._modified[: self._count]
