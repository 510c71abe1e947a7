"""A list of pictures in the given order, with a few dozen bytes each; unlike `Pictures`, they need no ids."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from captioner.images.tars import read_member, split_name
from captioner.images.urls import fetch, is_url

FIRST_ROOM = 1024  # pictures; doubled whenever they do not fit
OF_ITS_OWN = -1  # the offset of a picture that is a separate file


class PictureFiles:
    """A list of pictures that can grow while it is processed: files, members of tar files, addresses.

    Attributes:
        named_alone: whether the input was a single file, given by its name.
        only_files: whether all pictures are separate files.
    """

    def __init__(self) -> None:
        self.named_alone, self.only_files = False, True
        self._text = bytearray()  # the names one after the other
        self._ends = np.zeros(FIRST_ROOM, np.int64)
        self._bytes = np.zeros(FIRST_ROOM, np.int64)
        self._modified = np.zeros(FIRST_ROOM, np.int64)
        self._offsets = np.zeros(FIRST_ROOM, np.int64)
        self._count = 0

    def append(self, name: str | Path, size: int = 0, modified: int = 0, offset: int = OF_ITS_OWN) -> int:
        """Add a picture and return its place.

        Args:
            name: its path, an address, or a tar file's path, `!` and the member's name.
            size: its size in bytes, if known.
            modified: its modification time in nanoseconds, if known.
            offset: the offset of a member's content in its tar file.
        """
        if self._count == len(self._ends):
            for array in ("_ends", "_bytes", "_modified", "_offsets"):
                setattr(self, array, np.resize(getattr(self, array), 2 * self._count))
        self._text += os.fsencode(name)
        self._ends[self._count] = len(self._text)
        self._bytes[self._count], self._modified[self._count] = size, modified
        self._offsets[self._count] = offset
        self.only_files = self.only_files and offset == OF_ITS_OWN and not is_url(str(name))
        self._count += 1
        return self._count - 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Path]:
        return (self.path(place) for place in range(self._count))

    def name(self, place: int) -> str:
        """Return a picture's given name."""
        start = int(self._ends[place - 1]) if place else 0
        return os.fsdecode(bytes(self._text[start : int(self._ends[place])]))

    def path(self, place: int) -> Path:
        """Return a picture's path; for a picture that is not a separate file, no file exists at this path."""
        return Path(self.name(place))

    def relative(self, place: int) -> str:
        """Return a picture's path as it was given."""
        return self.name(place)

    def content(self, place: int) -> bytes | None:
        """Return the bytes of a picture that is not a separate file, None for one that is.

        Raises:
            DataError: it cannot be read or fetched.
        """
        name, offset = self.name(place), int(self._offsets[place])
        if offset != OF_ITS_OWN:
            return read_member(split_name(name)[0], offset, int(self._bytes[place]), name)
        return fetch(name) if is_url(name) else None

    @property
    def bytes(self) -> np.ndarray:
        """The pictures' sizes, (pictures,), 0 if unknown."""
        return self._bytes[: self._count]

    @property
    def modified(self) -> np.ndarray:
        """The pictures' modification times, (pictures,) in nanoseconds, 0 if unknown."""
        return self._modified[: self._count]
