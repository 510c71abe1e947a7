"""The input of writers: a picture and its captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from captioner.images.decode import load_image

if TYPE_CHECKING:
    from captioner.generation.caption import Caption

Write = Callable[[str], None]  # receives a line


@dataclass(frozen=True)
class Captioned:
    """A picture and its captions, best first.

    Attributes:
        path: path of the picture.
        captions: best first.
        name: name of a picture that is not a file: an address, or a member of a tar file.
        content: returns the bytes of such a picture.
    """

    path: Path
    captions: Sequence[Caption]
    name: str = ""
    content: Callable[[], bytes] | None = None

    @property
    def called(self) -> str:
        """The picture's name."""
        return self.name or str(self.path)

    def picture(self, at_least: tuple[int, int]) -> np.ndarray:
        """Return the picture (height, width, 3) uint8; see captioner.images.decode.load_image."""
        source = self.path if self.content is None else self.content()
        return load_image(source, name=self.called, at_least=at_least)


class Writer(Protocol):
    """Writes captioned pictures one after the other."""

    def add(self, result: Captioned) -> None:
        """Write a picture's captions.

        Raises:
            DataError: they cannot be written; existing data are not lost.
        """
        ...

    def close(self) -> None:
        """Finish writing after the last picture."""
        ...
