"""Safe decoding and resizing of pictures from folders and uploads."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from captioner.images.containers import (
    Bare,
    bare_jpeg,
    bare_png,
    has_all_scans,
    require_plain_gif,
    require_short_head,
)
from captioner.images.files import HEAD_BYTES, READABLE, NotAPictureError, read_picture, require_kind
from captioner.images.rgb import rgb_of_size
from captioner.storage import DataError

Resizing = Literal["whole", "crop", "pad"]
Filter = Literal["bicubic", "bilinear", "lanczos"]

MAX_PIXELS = 2**26  # 64-megapixel cameras pass; decoded, that is 200 MB
MAX_PIXELS_VARIABLE = "CAPTIONER_MAX_PIXELS"

_LARGEST_JPEG = 2**28  # pixels of one that is decoded at a part of its size, row by row
_MAX_SCANS, _MAX_SCANNED = 64, 2**30  # of a JPEG, and times its pixels
_BYTES_A_PIXEL = {"WEBP": 16, "AVIF": 16, "JPEG2000": 24, "QOI": 8}  # that decoding takes; of others below
_BYTES_A_ROW = 24  # for where each begins
_BYTES_AS_RGB = 7  # of a pixel where the whole picture is returned
_FREE_BYTES, _BYTES_A_BYTE = 3, 128  # that decoding may take: for each allowed pixel, and for each byte of the file
# appended to a truncated JPEG: with different endings, missing pixels decode to different values
_ENDS = (b"\xff\xd9", b"\x35\x6a" * 64 + b"\xff\xd9")

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


_HEADS = {"GIF": require_plain_gif, "PPM": require_short_head}  # what Pillow would read at length


class TooManyPixelsError(DataError):
    """The picture has more pixels than allowed."""


def load_image(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int | None = None,
    at_least: tuple[int, int] | None = None,
) -> np.ndarray:
    """Decode a picture (of the kinds in `captioner.images.files`) to uint8 RGB, (height, width, 3).

    Only broken pixels are errors: faults in texts, colour profiles and EXIF are ignored. The picture is rotated
    according to its EXIF orientation; transparency is shown on white; 16 bits are scaled to 8; an animation gives its
    first frame.

    Args:
        source: a path, or an encoded picture as bytes.
        name: the name in error messages; the path by default.
        max_pixels: larger pictures are refused before they are decoded. The default is the environment variable
            CAPTIONER_MAX_PIXELS, or else `MAX_PIXELS`. For a JPEG that is decoded at reduced size, that size counts.
        at_least: (height, width) that the caller will resize to: a much larger JPEG is decoded at a half, a quarter or
            an eighth of its size, but at no less than twice this size.

    Raises:
        DataError: missing, empty, truncated, too large (TooManyPixelsError), or not a picture (NotAPictureError).
    """
    name = name or ("the picture" if isinstance(source, bytes) else str(source))
    data = source if isinstance(source, bytes) else read_picture(Path(source))[0]
    kind = require_kind(data[:HEAD_BYTES], name)
    try:
        with _pillow_silenced():
            return _decode(name, kind, data, allowed_pixels() if max_pixels is None else max_pixels, at_least)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise TooManyPixelsError(f"{name}: claims far too many pixels; shrink it first") from None
    except UnidentifiedImageError:
        raise NotAPictureError(f"{name}: not a picture that can be read ({READABLE} is needed)") from None
    except Exception as error:  # decoders raise nearly anything on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: broken or truncated ({reason}); replace or remove it") from error


def allowed_pixels() -> int:
    """Return the largest allowed number of pixels: the variable CAPTIONER_MAX_PIXELS, or else `MAX_PIXELS`.

    Raises:
        DataError: the variable is not a number.
    """
    said = os.environ.get(MAX_PIXELS_VARIABLE)
    if not said:
        return MAX_PIXELS
    if not said.isascii() or not said.isdigit() or not 0 < len(said) < 16:
        raise DataError(f"{MAX_PIXELS_VARIABLE}: expected a number of pixels such as 200000000, found {said!r}")
    return int(said)


def _decode(name: str, kind: str, data: bytes, max_pixels: int, at_least: tuple[int, int] | None) -> np.ndarray:
    if kind == "JPEG":
        return _decode_jpeg(name, data, max_pixels, at_least)
    orientation = 0
    if kind == "PNG":
        bare = bare_png(data)
        data, orientation = bare.data, bare.orientation
    elif kind in _HEADS:
        _HEADS[kind](data)
    Image.init()  # AVIF is not in every Pillow
    with Image.open(io.BytesIO(data), formats=[kind] if kind in Image.OPEN else []) as image:
        pixels = image.width * image.height
        _check_pixels(name, image.size, pixels, max_pixels)
        needed = pixels * _bytes_a_pixel(kind, image.mode, at_least is None) + _BYTES_A_ROW * image.height
        _check_memory(name, image.size, needed, max_pixels, len(data))
        image.load()  # first: other calls may load the picture in Pillow and hide a fault
        orientation = orientation or _orientation(image)  # after loading, which rotates a TIFF
        return _upright(image, orientation, at_least)


def _decode_jpeg(name: str, data: bytes, max_pixels: int, at_least: tuple[int, int] | None) -> np.ndarray:
    bare = bare_jpeg(data)
    try:
        image = _drafted(name, bare, bare.data, max_pixels, at_least)
    except OSError as error:
        if "truncated" not in str(error) or not has_all_scans(bare.data):
            raise
        # Only the end may be missing. The pixels of missing rows depend on the bytes that replace them.
        start = bare.data.rstrip(b"\xff")
        image, other = (_drafted(name, bare, start + end, max_pixels, at_least) for end in _ENDS)
        if image.tobytes() != other.tobytes():
            raise
    return _upright(image, bare.orientation)


def _drafted(name: str, bare: Bare, data: bytes, max_pixels: int, at_least: tuple[int, int] | None) -> Image.Image:
    # the class itself: Image.open refuses what a telephone of 200 megapixels takes
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    size, pixels = image.size, image.width * image.height
    whole = bare.progressive or bare.scans > 1  # its coefficients are kept until the last scan
    if at_least is not None:
        sides = (2 * at_least[1], 2 * at_least[0])
        image.draft(None, sides[::-1] if bare.orientation > 4 else sides)
    part = image.width * image.height
    _check_pixels(name, size, pixels if whole or pixels > _LARGEST_JPEG else part, max_pixels)
    needed = (4 + _BYTES_AS_RGB * (at_least is None)) * part + 6 * pixels * whole
    _check_memory(name, size, needed, max_pixels, len(data))
    if bare.scans > _MAX_SCANS or bare.scans * pixels > max(_MAX_SCANNED, 16 * max_pixels):
        raise DataError(f"{name}: a JPEG of {bare.scans} scans, far more than cameras write; it may be hostile")
    image.load()
    return image


def _check_pixels(name: str, size: tuple[int, int], pixels: int, max_pixels: int) -> None:
    if pixels > max_pixels:
        raise TooManyPixelsError(
            f"{name}: claims {size[0]} x {size[1]} pixels, more than {max_pixels}; "
            f"shrink it first, or allow more with the variable {MAX_PIXELS_VARIABLE}"
        )


def _check_memory(name: str, size: tuple[int, int], needed: int, max_pixels: int, length: int) -> None:
    if needed > _FREE_BYTES * max_pixels + _BYTES_A_BYTE * length:
        raise TooManyPixelsError(
            f"{name}: claims {size[0]} x {size[1]} pixels in {length} bytes, "
            "far more than photographs do; shrink it first"
        )


def _bytes_a_pixel(kind: str, mode: str, returned: bool) -> int:
    if mode.startswith(("I", "F")):
        return 20
    return _BYTES_A_PIXEL.get(kind, 1 if mode in ("1", "L", "P") else 4) + _BYTES_AS_RGB * returned


def _upright(image: Image.Image, orientation: int, at_least: tuple[int, int] | None = None) -> np.ndarray:
    turn, plain = _ORIENTATIONS.get(orientation), rgb_of_size(image, at_least)
    return np.array(plain if turn is None else plain.transpose(turn))  # (height, width, 3)


def load_pillow(image: Image.Image, name: str = "the picture", max_pixels: int | None = None) -> np.ndarray:
    """Return a Pillow picture as uint8 RGB (height, width, 3), rotated and on white as in `load_image`.

    Raises:
        DataError: it is too large (TooManyPixelsError), or its file is broken or truncated.
    """
    _check_pixels(name, image.size, image.width * image.height, allowed_pixels() if max_pixels is None else max_pixels)
    try:
        with _pillow_silenced():
            image.load()
            return _upright(image, _orientation(image))
    except Exception as error:  # decoders raise nearly anything on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: broken or truncated ({reason}); replace or remove it") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # broken EXIF does not make a broken picture
        return 1


class _Silence:
    lock = threading.Lock()
    inside = 0
    outer: warnings.catch_warnings | None = None


@contextlib.contextmanager
def _pillow_silenced() -> Iterator[None]:
    # catch_warnings alone is not safe with several threads: the first thread sets the filters, and the last restores
    # them
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
    """Resize a uint8 picture (h, w, 3) to `size` = (height, width), antialiased; a picture of that size is not changed.

    Args:
        picture: (h, w, 3) uint8.
        size: (height, width) in pixels.
        resizing: `whole` stretches the whole picture to the size; `crop` fits the shorter side and keeps the centre;
            `pad` fits the longer side and centres the picture on black.
        filter: the interpolation filter.
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
