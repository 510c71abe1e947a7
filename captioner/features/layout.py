"""Determines which axis of features is the channels: the last one, unless the setting or the shape says otherwise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from captioner.storage import DataError

Layout = Literal["auto", "channels_last", "channels_first"]


class Rows(Protocol):
    """Features that are read from a file row by row."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int: ...

    def read_into(self, row: np.ndarray, place: int) -> None:
        """Fill `row` with the features of picture `place`."""


class TurnedRows:
    """Rows of (channels, regions) as rows of (regions, channels)."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self.dtype = rows, rows.dtype
        self.shape = (rows.shape[0], rows.shape[2], rows.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def read_into(self, row: np.ndarray, place: int) -> None:
        """Fill `row`, (regions, channels)."""
        stored = np.empty(row.shape[::-1], self.dtype)
        self._rows.read_into(stored, place)
        row[...] = stored.T


def require_layout(path: Path, shape: tuple[int, ...], layout: Layout) -> None:
    """Raise an error if the layout is `auto` and the arrays look like channels first.

    Raises:
        DataError: names the setting to use.
    """
    if layout == "auto" and looks_channels_first(shape):
        raise DataError(
            f"{path}: arrays of shape {shape} look like channels first; set features_layout=channels_first in the "
            "recipe (--set) to transpose them, or features_layout=channels_last if the last axis is the channels"
        )


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without a leading batch axis of 1, which `predict` adds."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def as_features(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Return the shape of features for an array of `shape`: (channels,) or (regions, channels)."""
    if len(shape) < 2:
        return shape
    if layout == "channels_first":
        return (math.prod(shape[1:]), shape[0])
    return (math.prod(shape[:-1]), shape[-1])


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether a shape without its batch axis looks like (channels, rows, columns) or (channels, regions).

    (512, 7, 7), as in PyTorch, does; (7, 7, 512) does not. (512, 49) does, since 49 is a square number and 512 is not;
    (49, 512) does not.
    """
    if len(shape) == 3:
        return shape[0] != shape[1] and shape[0] > 2 * max(shape[1:])
    if len(shape) == 2:
        channels, regions = shape
        return channels > 2 * regions and _is_square(regions) and channels % 32 == 0 and regions > 1
    return False


def _is_square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number
