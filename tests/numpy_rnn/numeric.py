"""Gradients by central differences, to hold the hand-written ones against."""

import numpy as np


def numeric_gradient(function, x, dy=None, step=1e-5):
    """Return the gradient of sum(function() * dy) with respect to x, read by `function`, nudged in place."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        before = x[index]
        x[index] = before + step
        above = np.sum(function() * (1 if dy is None else dy))
        x[index] = before - step
        below = np.sum(function() * (1 if dy is None else dy))
        x[index] = before
        gradient[index] = (above - below) / (2 * step)
    return gradient


def relative_error(a, b):
    assert a.shape == b.shape
    return np.linalg.norm(a - b) / max(np.linalg.norm(a) + np.linalg.norm(b), 1e-12)
