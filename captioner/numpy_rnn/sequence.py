"""A cell run over time, forward and backward through time, and its first weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from captioner.numpy_rnn.cells import Cell, State, Weights
from captioner.numpy_rnn.layers import Array


def sequence_forward(x: Array, h0: Array, weights: Weights, cell: Cell) -> tuple[Array, list[Any]]:
    """Run a cell over a sequence.

    Args:
        x: (N, T, D).
        h0: (N, H) the first hidden state; an LSTM's memory c begins at 0.
        weights: the cell's, shared by all steps.
        cell: one of `captioner.numpy_rnn.cells.CELLS`.

    Returns:
        The hidden states h (N, T, H) after each step, and the steps' caches.
    """
    state: State = first_state(h0, cell)
    hidden = np.empty((*x.shape[:2], h0.shape[1]), dtype=h0.dtype)
    caches = []
    for t in range(x.shape[1]):
        state, cache = cell.forward(x[:, t], state, weights)
        hidden[:, t] = state[0]
        caches.append(cache)
    return hidden, caches


def sequence_backward(dhidden: Array, caches: list[Any], cell: Cell) -> tuple[Array, Array, Weights]:
    """Backpropagation through time (Werbos 1990).

    Args:
        dhidden: (N, T, H) the loss' gradient with respect to each step's hidden state, as far as it does not pass
            through later steps.
        caches: what `sequence_forward` returned.
        cell: the same cell.

    Returns:
        dx (N, T, D), dh0 (N, H) and the weights' gradients, summed over the steps.
    """
    dstate: State = tuple(np.zeros_like(dhidden[:, 0]) for _ in range(cell.states))
    dx: list[Array] = []
    totals: Weights = {}
    for t in reversed(range(len(caches))):
        # What reaches h_t: its own step's output, and all that came after.
        dstep, dstate, gradients = cell.backward((dhidden[:, t] + dstate[0], *dstate[1:]), caches[t])
        dx.append(dstep)
        for name, gradient in gradients.items():
            totals[name] = totals[name] + gradient if name in totals else gradient
    return np.stack(dx[::-1], axis=1), dstate[0], totals


def first_state(h0: Array, cell: Cell) -> State:
    """Return the state before the first step from h0 (N, H): everything but h is 0."""
    return (h0, *(np.zeros_like(h0) for _ in range(cell.states - 1)))


def initial_weights(cell: Cell, inputs: int, units: int, generator: np.random.Generator) -> Weights:
    """Return a cell's first weights as float64: Glorot-uniform kernels, orthogonal recurrent blocks, biases 0.

    An LSTM's forget gate begins with a bias of 1, so that it remembers until it has learnt to forget (Jozefowicz,
    Zaremba & Sutskever 2015).
    """
    width = cell.gates * units
    limit = np.sqrt(6 / (inputs + width))  # Glorot & Bengio 2010, equation 16
    blocks = [np.linalg.qr(generator.normal(size=(units, units)))[0] for _ in range(cell.gates)]
    bias = np.zeros(width) if cell.biases == 1 else np.zeros((cell.biases, width))
    if cell.states == 2:
        bias[units : 2 * units] = 1
    return {
        "kernel": generator.uniform(-limit, limit, size=(inputs, width)),
        "recurrent_kernel": np.concatenate(blocks, axis=1),
        "bias": bias,
    }
