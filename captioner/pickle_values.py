"""Values and errors of the pickle reader: plain values, names, and texts that stay in the file."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class BadPickleError(Exception):
    """A pickle is broken; the message says what is wrong."""


class ForeignPickleError(BadPickleError):
    """A pickle refers to a name that no file of its kind needs.

    Attributes:
        module: module of the name.
        name: the name.
    """

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"it refers to {module}.{name}")
        self.module, self.name = module, name


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a pickle refers to; it is never imported."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A long text or byte string that is still in the file.

    Attributes:
        start: offset in the file, in bytes.
        length: length in the file, in bytes.
        coding: how to get its bytes: `raw` (unchanged), `text` (UTF-8, not yet bytes), `line` (raw-unicode-escape, not
            yet bytes), `text-latin1`, `line-latin1`, or `quoted` (Python 2's repr of a str).
    """

    start: int
    length: int
    coding: str

    def decode(self, data: bytes) -> bytes:
        """Return the bytes that are encoded in `data`, which was read from the file."""
        return _DECODERS[self.coding](data)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda data: data,
    "text-latin1": lambda data: data.decode().encode("latin-1"),
    "line-latin1": lambda data: data.decode("raw-unicode-escape").encode("latin-1"),
    "quoted": lambda data: codecs.escape_decode(data)[0],
}


class Pairs(list[Any]):
    """The (key, value) pairs of a dict in order. Keys are never hashed: hashing a nested key can crash the process."""
