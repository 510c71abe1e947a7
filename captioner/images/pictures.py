"""Converts pictures in Python to arrays: paths, encoded bytes, open files, Pillow pictures, arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from captioner.images.decode import load_image, load_pillow
from captioner.storage import DataError

WHITE = (1.0, 255.0, 65535.0)  # values of white for arrays whose type does not define it


def is_one_picture(value: Any) -> bool:
    """Return whether `value` is a single picture; an array with four dimensions is a batch."""
    if isinstance(value, str | os.PathLike | bytes | bytearray | memoryview | Image.Image) or hasattr(value, "read"):
        return True
    return hasattr(value, "__array__") and len(np.shape(value)) <= 3


def picture_array(picture: Any, name: str = "the picture", at_least: tuple[int, int] | None = None) -> np.ndarray:
    """Return a picture as uint8 RGB (height, width, 3).

    Args:
        picture: a path; an encoded picture as bytes or an open binary file; a Pillow picture; an array (or a tensor
            that NumPy can read) of (height, width), or (height, width, channels) with 1 (grey), 2 (grey and alpha), 3
            (RGB) or 4 (RGBA) channels. Numbers are uint8; booleans; uint16; other whole numbers 0 to 255; floats 0
            to 1 or 0 to 255. Transparency is shown on white.
        name: the name in error messages for a picture without a path.
        at_least: see `captioner.images.decode.load_image`.

    Raises:
        DataError: the picture cannot be read, or the array is not a picture.
        TypeError: `picture` has another type.
    """
    if isinstance(picture, str | os.PathLike):
        path = Path(picture)
        if path.is_dir():
            raise DataError(f"{path}: is a folder; give its pictures one by one, or run captioner predict {path}")
        return load_image(path, at_least=at_least)
    if isinstance(picture, bytes | bytearray | memoryview):
        return load_image(bytes(picture), name=name, at_least=at_least)
    if isinstance(picture, Image.Image):
        return load_pillow(picture, getattr(picture, "filename", "") or name)
    if hasattr(picture, "read"):
        content = picture.read()
        if not isinstance(content, bytes):
            raise TypeError(f"{name}: an open text file; open it with mode 'rb'")
        return load_image(content, name=str(getattr(picture, "name", name)), at_least=at_least)
    if hasattr(picture, "__array__"):
        return _rgb(np.asarray(picture), name)
    raise TypeError(f"{name}: expected a path, bytes, a Pillow picture or an array, found {type(picture).__name__}")


def _rgb(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]  # (height, width, 1)
    if array.ndim != 3 or 0 in array.shape:
        raise DataError(f"{name}: expected an array (height, width, channels), found the shape {array.shape}")
    if array.shape[2] not in (1, 2, 3, 4):
        hint = "; channels come last, transpose it" if array.shape[0] in (1, 3, 4) else ""
        raise DataError(f"{name}: expected 1 to 4 channels, found the shape {array.shape}{hint}")
    levels = _eight_bits(array, name)
    if levels.shape[2] in (2, 4):
        return _on_white(levels)
    return levels if levels.shape[2] == 3 else np.repeat(levels, 3, axis=2)


def _eight_bits(array: np.ndarray, name: str) -> np.ndarray:
    """Return levels 0 to 255; the value of white follows from the array's type, or else from its largest number."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "uif" and array.dtype.name != "bfloat16":
        raise DataError(f"{name}: expected an array of numbers, found {array.dtype}")
    values = array.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(values).all():
        raise DataError(f"{name}: the array holds numbers that are not finite")
    if low < 0 or high > WHITE[-1]:
        raise DataError(
            f"{name}: the array goes from {low:g} to {high:g}; a picture's numbers go from 0 to 1 or from 0 to 255"
        )
    usual: Sequence[float] = WHITE if array.dtype.kind not in "ui" else WHITE[1:]
    white = WHITE[-1] if array.dtype == np.uint16 else next(level for level in usual if level >= high)
    return np.rint(values * (255 / white)).astype(np.uint8)


def _on_white(levels: np.ndarray) -> np.ndarray:
    """Put grey and alpha (h, w, 2), or RGBA (h, w, 4), on white, as for files with transparency."""
    colour, alpha = levels[..., :-1].astype(np.float32), levels[..., -1:].astype(np.float32) / 255
    laid = np.rint(colour * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.broadcast_to(laid, (*laid.shape[:2], 3)).copy()
