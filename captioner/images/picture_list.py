"""Pictures in the order in which they were named, a few dozen bytes each; unlike `Pictures` they need no ids."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from captioner.images.tars import read_member, split_name
from captioner.images.urls import fetch, is_url

FIRST_ROOM = 1024  # pictures; doubled whenever they do not fit
OF_ITS_OWN = -1  # the offset of a picture that is a file, not a part of one


class PictureFiles:
    """A list of pictures that can grow while it is worked through: files, members of tar files, addresses.

    Attributes:
        named_alone: whether one file was asked for by its own name, and nothing else.
        only_files: whether each one is a file of its own.
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
            size: in bytes, where it is known.
            modified: when it was changed last, in nanoseconds, where that is known.
            offset: of a member's content in its tar file.
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
        """Return what a picture was named."""
        start = int(self._ends[place - 1]) if place else 0
        return os.fsdecode(bytes(self._text[start : int(self._ends[place])]))

    def path(self, place: int) -> Path:
        """Return a picture's path; one that is no file of its own has one all the same, under which nothing lies."""
        return Path(self.name(place))

    def relative(self, place: int) -> str:
        """Return a picture's path as it was named."""
        return self.name(place)

    def content(self, place: int) -> bytes | None:
        """Return the bytes of a picture that is no file of its own, None for one that is.

        Raises:
            DataError: it cannot be read or fetched.
        """
        name, offset = self.name(place), int(self._offsets[place])
        if offset != OF_ITS_OWN:
            return read_member(split_name(name)[0], offset, int(self._bytes[place]), name)
        return fetch(name) if is_url(name) else None

    @property
    def bytes(self) -> np.ndarray:
        """The pictures' sizes, (pictures,), 0 where they are not known."""
        return self._bytes[: self._count]

    @property
    def modified(self) -> np.ndarray:
        """When the pictures were changed last, (pictures,) in nanoseconds, 0 where that is not known."""
        return self._modified[: self._count]
