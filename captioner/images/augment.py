"""Random changes of pictures for training: cropped, mirrored, with other colours."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PIL import Image, ImageEnhance

from captioner.images.views import random_crop

CHANGES = ("crop", "flip", "color")
JITTER = 0.8, 1.2  # by which brightness, contrast and saturation are multiplied, from and to


def augment(picture: np.ndarray, changes: Collection[str], rng: np.random.Generator) -> np.ndarray:
    """Return a picture with random changes.

    Args:
        picture: (height, width, 3) uint8.
        changes: names from `CHANGES`: `crop` keeps a rectangle of at least half the area, `flip` mirrors every other
            picture, `color` changes brightness, contrast and saturation by at most a fifth.
        rng: the source of randomness. The same state gives the same picture.

    Returns:
        (height, width, 3) uint8, not larger than the picture.
    """
    if "crop" in changes:
        picture = random_crop(picture, rng)
    if "flip" in changes and rng.random() < 0.5:
        picture = picture[:, ::-1]
    if "color" not in changes:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(*JITTER))
    return np.asarray(image)
