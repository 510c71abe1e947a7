"""Views of a picture for training: mirrored or cropped."""

from __future__ import annotations

import zlib
from typing import Literal, get_args

import numpy as np

View = Literal["whole", "flip", "crop", "flip-crop"]
VIEWS: tuple[str, ...] = get_args(View)

SHARES = 0.5, 1.0  # of the picture's area that a crop keeps, from and to
ASPECTS = 3 / 4, 4 / 3  # of a crop's sides beside the picture's, from and to


def is_mirrored(view: str) -> bool:
    """Return whether a view swaps left and right."""
    return view.startswith("flip")


def look(picture: np.ndarray, view: View) -> np.ndarray:
    """Return a view of a picture.

    A crop is a random rectangle; it is always the same for the same picture.

    Args:
        picture: (height, width, 3) uint8.
        view: `whole`, `flip` (mirrored), `crop`, or `flip-crop` (a mirrored crop, another one than `crop` shows).

    Returns:
        (height, width, 3) uint8, not larger than the picture.
    """
    if view.endswith("crop"):
        picture = random_crop(picture, np.random.default_rng([zlib.crc32(picture.tobytes()), VIEWS.index(view)]))
    return picture[:, ::-1] if is_mirrored(view) else picture


def random_crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random rectangle of a picture with at least half its area (Szegedy et al. 2015, section 6)."""
    height, width = picture.shape[:2]
    area = rng.uniform(*SHARES)
    aspect = np.exp(rng.uniform(*np.log(ASPECTS)))
    rows = min(height, max(1, round(height * np.sqrt(area / aspect))))
    columns = min(width, max(1, round(width * np.sqrt(area * aspect))))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    return picture[top : top + rows, left : left + columns]
