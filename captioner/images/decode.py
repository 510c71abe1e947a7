"""Safe decoding and resizing of whatever picture a folder or an upload holds."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from captioner.storage import DataError

Resizing = Literal["whole", "crop", "pad"]
Filter = Literal["bicubic", "bilinear", "lanczos"]

MAX_PIXELS = 2**26  # 64-megapixel cameras pass; decoded, that is 200 MB

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


def load_image(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
) -> np.ndarray:
    """Decode a picture (JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF) to uint8 RGB, (height, width, 3).

    It is turned as its EXIF orientation says; transparency lies on white; 16 bits are scaled to 8; an animation gives
    its first frame.

    Args:
        source: a path, or an encoded picture as bytes.
        name: what errors call it; a path's own otherwise.
        max_pixels: a picture that claims more is refused before it is decoded.
        at_least: (height, width) that the caller will resize to: a JPEG of many times that size is decoded at a half,
            a quarter or an eighth, with twice this size left over for the resizing.

    Raises:
        DataError: missing, empty, truncated, too large, or not a picture.
    """
    name = name or ("the picture" if isinstance(source, bytes) else str(source))
    try:
        with _pillow_silenced():
            file = io.BytesIO(source if isinstance(source, bytes) else Path(source).read_bytes())
            return _decode(name, file, max_pixels, at_least)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except Image.DecompressionBombError:
        raise DataError(f"{name}: claims far too many pixels; shrink it first") from None
    except UnidentifiedImageError:
        fault = "not a picture that can be read" if file.getbuffer().nbytes else "empty"
        raise DataError(f"{name}: {fault} (JPEG, PNG, GIF, BMP, WebP, TIFF or AVIF is needed)") from None
    except Exception as error:  # decoders raise nearly anything on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: broken or truncated ({reason}); replace or remove it") from error


def _decode(name: str, file: io.BytesIO, max_pixels: int, at_least: tuple[int, int] | None) -> np.ndarray:
    Image.init()  # AVIF is not in every Pillow
    with Image.open(file, formats=[kind for kind in _FORMATS if kind in Image.OPEN]) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise DataError(f"{name}: claims {width} x {height} pixels, more than {max_pixels}; shrink it first")
        if at_least is not None:
            sides = (2 * at_least[1], 2 * at_least[0])
            image.draft(None, sides[::-1] if _orientation(image) > 4 else sides)
        image.load()
        return _upright(image)


def _upright(image: Image.Image) -> np.ndarray:
    upright = _ORIENTATIONS.get(_orientation(image))  # only when it is loaded: TIFF turns it, PNG may say it at its end
    plain = _to_rgb(image)
    return np.array(plain if upright is None else plain.transpose(upright))  # (height, width, 3)


def load_pillow(image: Image.Image, name: str = "the picture", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a Pillow picture as uint8 RGB (height, width, 3), turned and laid on white as `load_image` does it.

    Raises:
        DataError: it is too large, or its file is broken or truncated.
    """
    if image.width * image.height > max_pixels:
        raise DataError(f"{name}: has {image.width} x {image.height} pixels, more than {max_pixels}; shrink it first")
    try:
        with _pillow_silenced():
            image.load()
            return _upright(image)
    except Exception as error:  # decoders raise nearly anything on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: broken or truncated ({reason}); replace or remove it") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # broken EXIF does not make a broken picture
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # convert("RGB") would clip these to white
        return Image.fromarray(_to_eight_bits(np.asarray(image), sixteen=image.mode.startswith("I;16"))).convert("RGB")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(values: np.ndarray, sixteen: bool) -> np.ndarray:
    levels = np.nan_to_num(values.astype(np.float32))
    top = float(levels.max(initial=0.0))
    # 32-bit integers and floats do not say where their white is: the nearest usual place above the brightest value
    usual = (65535.0,) if sixteen else (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    white = next((level for level in usual if level >= top), top)
    return np.rint(levels.clip(0, white) * (255 / white)).astype(np.uint8)


class _Silence:
    lock = threading.Lock()
    inside = 0
    outer: warnings.catch_warnings | None = None


@contextlib.contextmanager
def _pillow_silenced() -> Iterator[None]:
    # catch_warnings alone is not safe in threads that overlap: only the first in sets the filters, and the last out
    # puts the old ones back
    with _Silence.lock:
        if not _Silence.inside:
            _Silence.outer = warnings.catch_warnings()
            _Silence.outer.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b|captioner\.images\.decode\Z")
        _Silence.inside += 1
    try:
        yield
    finally:
        with _Silence.lock:
            _Silence.inside -= 1
            if not _Silence.inside and _Silence.outer is not None:
                _Silence.outer.__exit__(None, None, None)


def resize(picture: np.ndarray, size: tuple[int, int], resizing: Resizing, filter: Filter) -> np.ndarray:
    """Resize a uint8 picture (h, w, 3) to `size` = (height, width), antialiased; one of that size is returned as it is.

    Args:
        picture: (h, w, 3) uint8.
        size: (height, width) in pixels.
        resizing: `whole` squeezes the whole picture into the size; `crop` fits the shorter side and keeps the centre;
            `pad` fits the longer side and centres the picture on black.
        filter: how pixels are weighed.
    """
    height, width = picture.shape[:2]
    if (height, width) == tuple(size):
        return picture
    image, kernel = Image.fromarray(picture), _FILTERS[filter]
    if resizing == "whole":
        return np.array(image.resize((size[1], size[0]), kernel))
    if resizing == "crop":
        scale = max(size[0] / height, size[1] / width)
        keep_high, keep_wide = size[0] / scale, size[1] / scale
        top, left = (height - keep_high) / 2, (width - keep_wide) / 2
        box = (max(left, 0.0), max(top, 0.0), min(left + keep_wide, width), min(top + keep_high, height))
        return np.array(image.resize((size[1], size[0]), kernel, box=box))
    scale = min(size[0] / height, size[1] / width)
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    padded = np.zeros((*size, 3), np.uint8)  # (height, width, 3)
    top, left = (size[0] - high) // 2, (size[1] - wide) // 2
    padded[top : top + high, left : left + wide] = np.array(image.resize((wide, high), kernel))
    return padded
