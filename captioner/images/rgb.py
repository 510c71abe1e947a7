"""Converts pictures of every mode to 8-bit RGB: transparency is shown on white, 16 bits are scaled."""

from __future__ import annotations

import numpy as np
from PIL import Image

_LARGE = 2**24  # pixels; larger pictures are first made smaller
_BAND = 2**22  # pixels of a large picture that are converted at a time


def rgb_of_size(image: Image.Image, at_least: tuple[int, int] | None) -> Image.Image:
    """Return a picture in RGB. A large one is first reduced, as in JPEG decoding, since its copies take gigabytes."""
    if at_least is None or image.width * image.height <= _LARGE or image.mode.startswith(("I", "F")):
        return _to_rgb(image)
    factor = max(1, min(image.width, image.height) // (2 * max(at_least)))
    rows = max(1, _BAND // (image.width * factor)) * factor
    bands = [
        _to_rgb(image.crop((0, top, image.width, min(top + rows, image.height)))).reduce(factor)
        for top in range(0, image.height, rows)
    ]
    whole = Image.new("RGB", (bands[0].width, sum(band.height for band in bands)))
    top = 0
    for band in bands:
        whole.paste(band, (0, top))
        top += band.height
    return whole


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # convert("RGB") would clip these to white
        return Image.fromarray(_to_eight_bits(np.asarray(image), sixteen=image.mode.startswith("I;16"))).convert("RGB")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_eight_bits(values: np.ndarray, sixteen: bool) -> np.ndarray:
    levels = np.nan_to_num(values.astype(np.float32))
    top = float(levels.max(initial=0.0))
    # the type does not define white for 32-bit integers and floats: use the next usual value above the largest one
    usual = (65535.0,) if sixteen else (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    white = next((level for level in usual if level >= top), top)
    return np.rint(levels.clip(0, white) * (255 / white)).astype(np.uint8)
