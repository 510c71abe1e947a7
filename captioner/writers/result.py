"""What writers take: a picture and its captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from captioner.generation.decode import Caption

Write = Callable[[str], None]  # takes a line


@dataclass(frozen=True)
class Captioned:
    """A picture and its captions, best first."""

    path: Path
    captions: Sequence[Caption]


class Writer(Protocol):
    """Takes captioned pictures one after the other."""

    def add(self, result: Captioned) -> None:
        """Write a picture's captions.

        Raises:
            DataError: they cannot be written; nothing is lost.
        """
        ...

    def close(self) -> None:
        """Say that no more come."""
        ...
