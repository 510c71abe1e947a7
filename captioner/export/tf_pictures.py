"""Decode and resize pictures in a TensorFlow graph, as captioner.images.decode does with Pillow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Tensor = Any

SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
UNIT = 2.0**-22
EXIF = b"Exif\0\0"
SEARCHED = 65536  # bytes to search for a JPEG's orientation
ORIENTATION_TAG = 0x0112


def picture_reader(size: tuple[int, int], resizing: str, filter: str) -> Callable[[Tensor], Tensor]:
    """Return a function from an encoded picture, a scalar string tensor, to (height, width, 3) uint8.

    It reads JPEG, PNG, GIF (the first frame) and BMP, applies the EXIF orientation, and puts transparency on white.

    Args:
        size: (height, width).
        resizing, filter: see captioner.images.decode.resize.
    """

    def read(content: Tensor) -> Tensor:
        return _resize(_decode(content, size), size, resizing, filter)

    return read


def _decode(content: Tensor, size: tuple[int, int]) -> Tensor:
    import tensorflow as tf

    is_jpeg = tf.strings.substr(content, 0, 3) == b"\xff\xd8\xff"
    return tf.cond(is_jpeg, lambda: _decode_jpeg(content, size), lambda: _decode_other(content))


def _decode_jpeg(content: Tensor, size: tuple[int, int]) -> Tensor:
    """Decode a JPEG; like Pillow's draft mode, decode large ones at a half, a quarter or an eighth of their size."""
    import tensorflow as tf

    shape = tf.image.extract_jpeg_shape(content)  # (height, width, channels)
    orientation = _orientation(content)
    sides = tf.constant([2 * size[0], 2 * size[1]])
    sides = tf.where(orientation > 4, sides[::-1], sides)
    times = tf.reduce_min(shape[:2] // sides)
    choice = tf.cast(times >= 2, tf.int32) + tf.cast(times >= 4, tf.int32) + tf.cast(times >= 8, tf.int32)

    def at(ratio: int) -> Callable[[], Tensor]:
        return lambda: tf.io.decode_jpeg(content, 3, ratio=ratio, fancy_upscaling=True, dct_method="INTEGER_ACCURATE")

    return _upright(tf.switch_case(choice, [at(1), at(2), at(4), at(8)]), orientation)


def _decode_other(content: Tensor) -> Tensor:
    import tensorflow as tf

    picture = tf.io.decode_image(content, channels=0, expand_animations=False)
    picture = tf.ensure_shape(picture, (None, None, None))
    channels = tf.shape(picture)[2]
    alpha = tf.cast(tf.where(channels % 2 == 0, picture[:, :, -1:], tf.constant(255, tf.uint8)), tf.float32) / 255.0
    colour = tf.cond(channels < 3, lambda: tf.repeat(picture[:, :, :1], 3, axis=2), lambda: picture[:, :, :3])
    laid = tf.cast(colour, tf.float32) * alpha + 255.0 * (1.0 - alpha)
    return tf.cast(tf.round(laid), tf.uint8)


def _orientation(content: Tensor) -> Tensor:
    """Return a JPEG's EXIF orientation as a scalar int32, 1 if there is none."""
    import tensorflow as tf

    head = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 0, SEARCHED), tf.uint8), tf.int32)
    head = tf.concat([head, tf.zeros(64, tf.int32)], axis=0)
    count = tf.shape(head)[0]
    places = count - len(EXIF) + 1
    found = tf.reduce_all([head[index : index + places] == letter for index, letter in enumerate(EXIF)], axis=0)
    start = tf.cast(tf.argmax(tf.cast(found, tf.int32), output_type=tf.int32), tf.int32) + len(EXIF)
    little = head[start] == 0x49

    def number(place: Tensor, size: int) -> Tensor:
        place = tf.minimum(place, count - 4)
        digits = head[place : place + size]
        digits = tf.cond(little, lambda: digits[::-1], lambda: digits)
        return tf.reduce_sum(digits * [256**power for power in range(size - 1, -1, -1)])

    def look() -> Tensor:
        directory = start + tf.clip_by_value(number(start + 4, 4), 0, count)
        entries = tf.clip_by_value(number(directory, 2), 0, 512)
        begins = tf.minimum(directory + 2 + 12 * tf.range(entries), count - 12)
        pairs = tf.gather(head, begins[:, None] + [0, 1, 8, 9])  # (entries, 4): the tag, and a short value
        pairs = tf.where(little, tf.gather(pairs, [1, 0, 3, 2], axis=1), pairs)
        tags, values = pairs[:, 0] * 256 + pairs[:, 1], pairs[:, 2] * 256 + pairs[:, 3]
        value = tf.reduce_max(tf.where(tags == ORIENTATION_TAG, values, 0))
        return tf.where((value >= 1) & (value <= 8), value, 1)

    return tf.cond(tf.reduce_any(found), look, lambda: tf.constant(1))


def _upright(picture: Tensor, orientation: Tensor) -> Tensor:
    import tensorflow as tf

    picture = tf.cond(orientation > 4, lambda: tf.transpose(picture, (1, 0, 2)), lambda: picture)
    sideways = tf.reduce_any(orientation == [2, 3, 6, 7])
    picture = tf.cond(sideways, lambda: picture[:, ::-1], lambda: picture)
    upside_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    return tf.cond(upside_down, lambda: picture[::-1], lambda: picture)


def _resize(picture: Tensor, size: tuple[int, int], resizing: str, filter: str) -> Tensor:
    import tensorflow as tf

    shape = tf.shape(picture)
    high, wide = tf.cast(shape[0], tf.float64), tf.cast(shape[1], tf.float64)
    whole = (tf.constant(0.0, tf.float64), high), (tf.constant(0.0, tf.float64), wide)
    if resizing == "whole":
        return tf.ensure_shape(_resample(picture, *whole, tf.constant(size), filter), (*size, 3))
    if resizing == "crop":
        scale = tf.maximum(size[0] / high, size[1] / wide)
        keep = size[0] / scale, size[1] / scale
        begin = (high - keep[0]) / 2, (wide - keep[1]) / 2
        rows, columns = (
            (tf.maximum(first, tf.constant(0.0, tf.float64)), tf.minimum(first + kept, full))
            for first, kept, full in zip(begin, keep, (high, wide), strict=True)
        )
        return tf.ensure_shape(_resample(picture, rows, columns, tf.constant(size), filter), (*size, 3))
    scale = tf.minimum(size[0] / high, size[1] / wide)
    fitted = tf.maximum(1, tf.cast(tf.round([high * scale, wide * scale]), tf.int32))
    before = (tf.constant(size) - fitted) // 2
    after = tf.constant(size) - fitted - before
    resized = _resample(picture, *whole, fitted, filter)
    padded = tf.pad(resized, [[before[0], after[0]], [before[1], after[1]], [0, 0]])
    return tf.ensure_shape(padded, (*size, 3))


def _resample(
    picture: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor], size: Tensor, filter: str
) -> Tensor:
    """Resize like Pillow: first the columns, then the rows, each rounded to 8 bits.

    Pillow starts with the rows if that is less work; some pixels then differ by one level.
    """
    import tensorflow as tf

    shape = tf.shape(picture)
    across = _weights(columns, shape[1], size[1], filter)  # (new width, width)
    x = tf.einsum("hwc,nw->hnc", tf.cast(picture, tf.float64), across)
    x = _eight_bits(x)
    down = _weights(rows, shape[0], size[0], filter)  # (new height, height)
    x = tf.einsum("hwc,nh->nwc", x, down)
    return tf.cast(_eight_bits(x), tf.uint8)


def _eight_bits(x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.clip_by_value(tf.floor(x + 0.5), tf.constant(0.0, tf.float64), tf.constant(255.0, tf.float64))


def _weights(box: tuple[Tensor, Tensor], length: Tensor, new_length: Tensor, filter: str) -> Tensor:
    """Return the weight of each input pixel for each output pixel: (new length, length) float64.

    The weights are multiples of UNIT, as in Pillow, so that products and sums are exact and are rounded as in Pillow.
    """
    import tensorflow as tf

    begin, end = box
    scale = (end - begin) / tf.cast(new_length, tf.float64)
    stretch = tf.maximum(scale, tf.constant(1.0, tf.float64))
    support = SUPPORT[filter] * stretch
    centres = begin + (tf.cast(tf.range(new_length), tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centres - support + 0.5, tf.int32), 0)  # cast truncates, as in C
    last = tf.minimum(tf.cast(centres + support + 0.5, tf.int32), length)
    pixels = tf.range(length)
    inside = (pixels[None] >= first[:, None]) & (pixels[None] < last[:, None])
    distances = (tf.cast(pixels, tf.float64)[None] - centres[:, None] + 0.5) / stretch
    weights = tf.where(inside, _kernel(distances, filter), tf.constant(0.0, tf.float64))
    parts = weights / tf.reduce_sum(weights, axis=1, keepdims=True) / UNIT
    return tf.sign(parts) * tf.floor(tf.abs(parts) + 0.5) * UNIT


def _kernel(x: Tensor, filter: str) -> Tensor:
    """Return a filter's values at distances x in float64, as defined in Pillow's Resample.c."""
    import tensorflow as tf

    x, zero = tf.abs(x), tf.constant(0.0, tf.float64)
    if filter == "bilinear":
        return tf.maximum(1.0 - x, zero)
    if filter == "bicubic":
        a = -0.5
        near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
        return tf.where(x < 1.0, near, tf.where(x < 2.0, far, zero))
    return tf.where(x < 3.0, _sinc(x) * _sinc(x / 3.0), zero)


def _sinc(x: Tensor) -> Tensor:
    import tensorflow as tf

    safe = tf.where(x == 0.0, tf.constant(1.0, tf.float64), x) * math.pi
    return tf.where(x == 0.0, tf.constant(1.0, tf.float64), tf.sin(safe) / safe)
