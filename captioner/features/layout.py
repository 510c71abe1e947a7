"""Which axis of an array of features is the channels: the last one, unless it is said or looks otherwise."""

from __future__ import annotations

import math
from typing import Literal

Layout = Literal["auto", "channels_last", "channels_first"]


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without a batch of one before it, as `predict` gives it."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def as_features(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Return the shape that an array of `shape` has as features: (channels,) or (regions, channels)."""
    if len(shape) < 2:
        return shape
    if layout == "channels_first":
        return (math.prod(shape[1:]), shape[0])
    return (math.prod(shape[:-1]), shape[-1])


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Tell whether a shape without its batch looks like (channels, rows, columns) or (channels, regions).

    (512, 7, 7) does, as PyTorch gives it, and (7, 7, 512) does not; nor does (49, 512), but (512, 49) does, whose 49
    regions are a square and whose 512 channels are none.
    """
    if len(shape) == 3:
        return shape[0] != shape[1] and shape[0] > 2 * max(shape[1:])
    if len(shape) == 2:
        channels, regions = shape
        return channels > 2 * regions and _is_square(regions) and channels % 32 == 0 and regions > 1
    return False


def _is_square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number
