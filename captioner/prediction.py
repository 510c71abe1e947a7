"""Many pictures in, captions out: files and folders, the unreadable ones named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from captioner.captioner import PICTURES_AT_ONCE, Captioner
from captioner.data.coco import listed_pictures
from captioner.generation.caption import Caption
from captioner.storage import DataError
from captioner.vision.images import list_images, load_image


@dataclass(frozen=True)
class Captioned:
    """A picture and its captions, best first."""

    path: Path
    captions: list[Caption]


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """Return the pictures meant by files and folders; a folder means all under it, COCO's JSON those that it lists.

    Raises:
        DataError: a path does not exist, a folder holds no picture, or what a JSON lists is not there.
    """
    pictures: list[Path] = []
    for path in paths:
        if path.is_dir():
            pictures += list_images(path).values()
        elif path.suffix.lower() == ".json":
            pictures += listed_pictures(path)
        elif path.exists():
            pictures.append(path)
        else:
            raise DataError(f"{path}: no such picture or folder")
    return pictures


def caption_pictures(
    captioner: Captioner,
    pictures: Sequence[Path],
    broken: Callable[[str], None],
    n: int = 1,
    **changes: Any,
) -> Iterator[Captioned]:
    """Yield the captions of one picture after another, in order, working on a few at a time.

    Args:
        captioner: the trained captioner.
        pictures: files.
        broken: takes the message of a picture that cannot be read; it is passed over.
        n, changes: see Captioner.search.

    Raises:
        ConfigError, DataError: see Captioner.caption.
    """
    captioner.search(n, **changes)  # an impossible setting is said before any picture is read
    size = captioner.encoder.input_size
    for start in range(0, len(pictures), PICTURES_AT_ONCE):
        paths: list[Path] = []
        arrays: list[np.ndarray] = []
        for path in pictures[start : start + PICTURES_AT_ONCE]:
            try:
                arrays.append(captioner.encoder.prepare(load_image(path, at_least=size)))
                paths.append(path)
            except DataError as error:
                broken(str(error))
        if arrays:
            yield from map(Captioned, paths, captioner.caption(arrays, n, **changes))
