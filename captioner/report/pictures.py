"""Small pictures and attention maps to embed in a page."""

from __future__ import annotations

import base64
import io
import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from captioner.images.decode import load_image
from captioner.storage import DataError

logger = logging.getLogger(__name__)

SIDE = 192  # pixels of the longer side
SMALL_SIDE = 96  # pixels of the longer side of a training picture beside it
QUALITY = 60  # JPEG quality


class Embedded(NamedTuple):
    """A picture in the page: a data URI, and its size in the page in pixels."""

    source: str
    width: int
    height: int


class Shown(NamedTuple):
    """A picture that needs attention maps: its caption and its size in pixels; only the aspect ratio is used."""

    caption: str
    width: int
    height: int


def embed_pictures(paths: Mapping[str, Path], side: int = SIDE) -> dict[str, Embedded]:
    """Return image_id -> the readable pictures, with a longer side of `side` pixels; the others are logged."""

    def embed(path: Path) -> Embedded | DataError:
        try:
            return _embed(path, side)
        except DataError as error:
            return error

    with ThreadPoolExecutor() as threads:
        found = dict(zip(paths, threads.map(embed, paths.values()), strict=True))
    broken = [str(error) for error in found.values() if isinstance(error, DataError)]
    if broken:
        logger.warning(f"{len(broken):,} of {len(paths):,} pictures cannot be shown (first: {broken[0]})")
    return {image_id: picture for image_id, picture in found.items() if not isinstance(picture, DataError)}


def _embed(path: Path, side: int) -> Embedded:
    picture = Image.fromarray(load_image(path, at_least=(side, side)))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    source = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    return Embedded(source, picture.width, picture.height)


def embed_attention(tokens: Sequence[str], attention: np.ndarray, columns: int, box: Sequence[float]) -> dict[str, Any]:
    """Return a caption's attention maps for the page: each word's weights, as bytes on one scale.

    Args:
        tokens: the caption's words.
        attention: (tokens, regions) weights, 0 or more; regions run row by row.
        columns: regions in a row.
        box: area of the regions in the picture, see `grid_box`.
    """
    least, greatest = float(attention.min()), float(attention.max())  # one scale for all words
    levels = np.rint(255 * (attention - least) / max(greatest - least, 1e-12)).astype(np.uint8)
    maps = [base64.b64encode(row.tobytes()).decode() for row in levels]
    return {"words": list(tokens), "maps": maps, "columns": columns, "box": list(box)}


def grid_columns(regions: int, input_size: Sequence[int]) -> int:
    """Return the number of regions in a row, for a grid with about the aspect ratio of the encoder's input."""
    height, width = input_size
    fitting = [columns for columns in range(1, regions + 1) if regions % columns == 0]
    return min(fitting, key=lambda columns: abs(math.log(columns * columns / regions * height / width)))


def grid_box(size: tuple[int, int], input_size: Sequence[int], resizing: str) -> list[float]:
    """Return the area of the encoder's grid in a picture: left, top, width, height, as fractions of the picture's size.

    Args:
        size: (height, width) of the picture.
        input_size: (height, width) of the encoder's input.
        resizing: the encoder's resizing: `whole`, `crop` or `pad`, see captioner.images.decode.resize.
    """
    if resizing == "whole":
        return [0.0, 0.0, 1.0, 1.0]
    scales = [inside / outside for inside, outside in zip(input_size, size, strict=True)]
    scale = max(scales) if resizing == "crop" else min(scales)
    high, wide = (share / scale for share in scales)
    return [round(number, 4) for number in ((1 - wide) / 2, (1 - high) / 2, wide, high)]
