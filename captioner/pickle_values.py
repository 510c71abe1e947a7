"""What the reader of pickles makes of them: plain values, names, and texts that stay in the file; and its errors."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class BadPickleError(Exception):
    """A pickle is broken; the message is the fault."""


class ForeignPickleError(BadPickleError):
    """A pickle asks for a name that no file of its kind needs.

    Attributes:
        module: where the name lies.
        name: the name asked for.
    """

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"it asks for {module}.{name}")
        self.module, self.name = module, name


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a pickle asks for; it is never imported."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A long text or run of bytes that is still in the file.

    Attributes:
        start: where it begins in the file, in bytes.
        length: how many bytes it has there.
        coding: what makes bytes of it: `raw` (nothing), `text` (UTF-8, not yet bytes), `line` (raw-unicode-escape, not
            yet bytes), `text-latin1`, `line-latin1`, or `quoted` (Python 2's repr of a str).
    """

    start: int
    length: int
    coding: str

    def decode(self, data: bytes) -> bytes:
        """Return the bytes that `data`, read from the file, encodes."""
        return _DECODERS[self.coding](data)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda data: data,
    "text-latin1": lambda data: data.decode().encode("latin-1"),
    "line-latin1": lambda data: data.decode("raw-unicode-escape").encode("latin-1"),
    "quoted": lambda data: codecs.escape_decode(data)[0],
}


class Pairs(list[Any]):
    """The (key, value) pairs of a dict in their order. Keys are never hashed: a nested one can end a process."""
