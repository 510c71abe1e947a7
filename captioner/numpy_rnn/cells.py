"""One time step of a simple RNN, an LSTM and a GRU, forward and backward.

Weights have the names, shapes and gate order of Keras' layers, so that they can be copied to and fro:
`kernel` (D, gates x H) for the input, `recurrent_kernel` (H, gates x H) for the state, and `bias`. A state is a tuple
of arrays (N, H): (h,) for the RNN and the GRU, (h, c) for the LSTM. The first array is the cell's output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from captioner.numpy_rnn.layers import Array

Weights = dict[str, Array]
State = tuple[Array, ...]


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), written with tanh because exp overflows for large negative x."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def rnn_forward(x: Array, state: State, weights: Weights) -> tuple[State, Any]:
    """Take a step of a simple recurrent network (Elman 1990, "Finding Structure in Time").

    h' = tanh(x W + h U + b)

    Args:
        x: (N, D).
        state: (h,), h (N, H).
        weights: kernel W (D, H), recurrent_kernel U (H, H), bias b (H,).

    Returns:
        The state (h',), and the cache.
    """
    (h,) = state
    h_next = np.tanh(x @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights["bias"])  # (N, H)
    return (h_next,), (x, h, h_next, weights)


def rnn_backward(dstate: State, cache: Any) -> tuple[Array, State, Weights]:
    """Return dx (N, D), the gradient (dh,) of the state before, and the weights' gradients."""
    (dh_next,) = dstate
    x, h, h_next, weights = cache
    da = dh_next * (1 - h_next**2)  # (N, H), tanh' = 1 - tanh^2
    gradients = {"kernel": x.T @ da, "recurrent_kernel": h.T @ da, "bias": da.sum(axis=0)}
    return da @ weights["kernel"].T, (da @ weights["recurrent_kernel"].T,), gradients


def lstm_forward(x: Array, state: State, weights: Weights) -> tuple[State, Any]:
    """Take a step of an LSTM (Hochreiter & Schmidhuber 1997; the forget gate is from Gers, Schmidhuber & Cummins 2000).

    The gates are in Keras' order i, f, g, o (Keras calls g "c"); * is element-wise:

        [i f g o] = x W + h U + b, then sigmoid over i, f and o, tanh over g
        c' = f * c + i * g
        h' = o * tanh(c')

    Args:
        x: (N, D).
        state: (h, c), each (N, H).
        weights: kernel W (D, 4H), recurrent_kernel U (H, 4H), bias b (4H,).

    Returns:
        The state (h', c'), and the cache.
    """
    h, c = state
    a = x @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights["bias"]  # (N, 4H)
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c_next = f * c + i * g
    tanh_c = np.tanh(c_next)
    return (o * tanh_c, c_next), (x, h, c, i, f, g, o, tanh_c, weights)


def lstm_backward(dstate: State, cache: Any) -> tuple[Array, State, Weights]:
    """Return dx (N, D), the gradients (dh, dc) of the state before, and the weights' gradients."""
    dh_next, dc_next = dstate
    x, h, c, i, f, g, o, tanh_c, weights = cache
    dc = dc_next + dh_next * o * (1 - tanh_c**2)  # c' reaches the loss directly and through h'
    da = np.concatenate(
        [
            dc * g * i * (1 - i),  # sigmoid' = sigmoid (1 - sigmoid)
            dc * c * f * (1 - f),
            dc * i * (1 - g**2),
            dh_next * tanh_c * o * (1 - o),
        ],
        axis=1,
    )  # (N, 4H)
    gradients = {"kernel": x.T @ da, "recurrent_kernel": h.T @ da, "bias": da.sum(axis=0)}
    return da @ weights["kernel"].T, (da @ weights["recurrent_kernel"].T, dc * f), gradients


def gru_forward(x: Array, state: State, weights: Weights) -> tuple[State, Any]:
    """Take a step of a GRU (Cho et al. 2014, equations 5 to 8) as Keras computes it with reset_after=True.

    The gates are in Keras' order z (update), r (reset), g (candidate). The reset gate acts after the product with the
    recurrent weights, as in cuDNN, so that input and state have a bias each; * is element-wise:

        [p_z p_r p_g] = x W + b[0]        [q_z q_r q_g] = h U + b[1]
        z = sigmoid(p_z + q_z)            r = sigmoid(p_r + q_r)
        g = tanh(p_g + r * q_g)           h' = z * h + (1 - z) * g

    Args:
        x: (N, D).
        state: (h,), h (N, H).
        weights: kernel W (D, 3H), recurrent_kernel U (H, 3H), bias b (2, 3H).

    Returns:
        The state (h',), and the cache.
    """
    (h,) = state
    p = x @ weights["kernel"] + weights["bias"][0]  # (N, 3H)
    q = h @ weights["recurrent_kernel"] + weights["bias"][1]  # (N, 3H)
    p_z, p_r, p_g = np.split(p, 3, axis=1)
    q_z, q_r, q_g = np.split(q, 3, axis=1)
    z, r = sigmoid(p_z + q_z), sigmoid(p_r + q_r)
    g = np.tanh(p_g + r * q_g)
    return (z * h + (1 - z) * g,), (x, h, z, r, g, q_g, weights)


def gru_backward(dstate: State, cache: Any) -> tuple[Array, State, Weights]:
    """Return dx (N, D), the gradient (dh,) of the state before, and the weights' gradients."""
    (dh_next,) = dstate
    x, h, z, r, g, q_g, weights = cache
    da_g = dh_next * (1 - z) * (1 - g**2)  # (N, H), before the candidate's tanh
    da_z = dh_next * (h - g) * z * (1 - z)
    da_r = da_g * q_g * r * (1 - r)
    dp = np.concatenate([da_z, da_r, da_g], axis=1)  # (N, 3H)
    dq = np.concatenate([da_z, da_r, da_g * r], axis=1)  # (N, 3H)
    gradients = {
        "kernel": x.T @ dp,
        "recurrent_kernel": h.T @ dq,
        "bias": np.stack([dp.sum(axis=0), dq.sum(axis=0)]),
    }
    dh = dh_next * z + dq @ weights["recurrent_kernel"].T  # h reaches h' past the gates and through them
    return dp @ weights["kernel"].T, (dh,), gradients


@dataclass(frozen=True)
class Cell:
    """A recurrent cell.

    Attributes:
        forward: (x, state, weights) -> (the next state, cache).
        backward: (the next state's gradient, cache) -> (dx, the state's gradient, the weights' gradients).
        gates: how many blocks of H the weights have.
        states: how many arrays make a state.
        biases: how many rows the bias has; 1 means a plain vector.
    """

    forward: Callable[[Array, State, Weights], tuple[State, Any]]
    backward: Callable[[State, Any], tuple[Array, State, Weights]]
    gates: int
    states: int = 1
    biases: int = 1


CELLS = {
    "rnn": Cell(rnn_forward, rnn_backward, gates=1),
    "lstm": Cell(lstm_forward, lstm_backward, gates=4, states=2),
    "gru": Cell(gru_forward, gru_backward, gates=3, biases=2),
}
