"""Find the largest numbers of each row, in NumPy."""

from __future__ import annotations

import numpy as np

TOGETHER = 64  # values in a part of a row, whose maximum is computed first


def top(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `count` largest values of each row, in decreasing order, and their indices; ties by index.

    The values have the shape (rows, places).
    """
    rows, width = values.shape
    if width < 2 * count * TOGETHER:
        return _top(values, count)
    # The largest values are in the parts with the largest maxima. Sorting only these takes a third of the time.
    parts = -(-width // TOGETHER)
    padded = np.full((rows, parts * TOGETHER), -np.inf, values.dtype)
    padded[:, :width] = values
    largest = padded.reshape(rows, parts, TOGETHER).max(axis=2)
    best = np.sort(np.argsort(-largest, axis=1, kind="stable")[:, :count], axis=1)
    places = (best[:, :, None] * TOGETHER + np.arange(TOGETHER)).reshape(rows, -1)
    found, within = _top(np.take_along_axis(padded, places, axis=1), count)
    return found, np.take_along_axis(places, within, axis=1)


def _top(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.argpartition(-values, count - 1, axis=1)[:, :count] if count < values.shape[1] else None
    places = np.broadcast_to(np.arange(values.shape[1]), values.shape) if places is None else np.sort(places, axis=1)
    found = np.take_along_axis(values, places, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(places, order, axis=1)
