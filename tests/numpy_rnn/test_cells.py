import numpy as np
import pytest

from captioner.numpy_rnn.cells import CELLS, sigmoid
from tests.numpy_rnn.numeric import numeric_gradient, relative_error

N, D, H = 3, 4, 5


def draw(name, seed=0):
    """Random input, state and weights; biases too, so that their gradients are not those of zeros."""
    cell, generator = CELLS[name], np.random.default_rng(seed)
    width = cell.gates * H
    weights = {
        "kernel": generator.normal(size=(D, width)),
        "recurrent_kernel": generator.normal(size=(H, width)),
        "bias": generator.normal(size=width if cell.biases == 1 else (cell.biases, width)),
    }
    state = tuple(generator.normal(size=(N, H)) for _ in range(cell.states))
    dstate = tuple(generator.normal(size=(N, H)) for _ in range(cell.states))
    return cell, generator.normal(size=(N, D)), state, weights, dstate


@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_a_step(name):
    cell, x, state, weights, dstate = draw(name)
    dx, dbefore, gradients = cell.backward(dstate, cell.forward(x, state, weights)[1])

    def output():
        return np.stack(cell.forward(x, state, weights)[0])  # (states, N, H)

    analytic = {"x": dx, **{f"state {n}": d for n, d in enumerate(dbefore)}, **gradients}
    arrays = {"x": x, **{f"state {n}": s for n, s in enumerate(state)}, **weights}
    assert analytic.keys() == arrays.keys()
    for key, array in arrays.items():
        assert relative_error(analytic[key], numeric_gradient(output, array, np.stack(dstate))) < 1e-6, key


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])


@pytest.mark.parametrize("name", CELLS)
def test_float32_stays_float32(name):
    cell, x, state, weights, _ = draw(name)
    weights = {key: array.astype(np.float32) for key, array in weights.items()}
    state, cache = cell.forward(x.astype(np.float32), tuple(s.astype(np.float32) for s in state), weights)
    dx, dstate, gradients = cell.backward(state, cache)
    assert {array.dtype for array in (*state, dx, *dstate, *gradients.values())} == {np.dtype(np.float32)}
