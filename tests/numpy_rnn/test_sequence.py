import keras
import numpy as np
import pytest

from captioner.numpy_rnn.cells import CELLS
from captioner.numpy_rnn.sequence import initial_weights, sequence_backward, sequence_forward
from tests.numpy_rnn.numeric import numeric_gradient, relative_error

N, T, D, H = 2, 4, 3, 5
LAYERS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def draw(name, dtype=np.float64):
    cell, generator = CELLS[name], np.random.default_rng(1)
    weights = initial_weights(cell, D, H, generator)
    weights["bias"] = generator.normal(size=weights["bias"].shape)
    x, h0 = generator.normal(size=(N, T, D)), generator.normal(size=(N, H))
    return cell, x.astype(dtype), h0.astype(dtype), {key: array.astype(dtype) for key, array in weights.items()}


@pytest.mark.parametrize("name", CELLS)
def test_gradients_through_time(name):
    cell, x, h0, weights = draw(name)
    hidden, caches = sequence_forward(x, h0, weights, cell)
    dhidden = np.random.default_rng(2).normal(size=hidden.shape)
    dx, dh0, gradients = sequence_backward(dhidden, caches, cell)
    for key, analytic, array in [("x", dx, x), ("h0", dh0, h0), *((k, gradients[k], weights[k]) for k in weights)]:
        numeric = numeric_gradient(lambda: sequence_forward(x, h0, weights, cell)[0], array, dhidden)
        assert relative_error(analytic, numeric) < 1e-6, key


@pytest.mark.parametrize("name", CELLS)
def test_equal_to_keras_with_the_same_weights(name):
    cell, x, h0, weights = draw(name, np.float32)
    layer = LAYERS[name](H, return_sequences=True)
    layer.build((N, T, D))
    layer.set_weights([weights["kernel"], weights["recurrent_kernel"], weights["bias"]])
    state = [h0] + [np.zeros_like(h0)] * (cell.states - 1)
    expected = keras.ops.convert_to_numpy(layer(x, initial_state=state))
    np.testing.assert_allclose(sequence_forward(x, h0, weights, cell)[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_first_weights_take_keras_shapes_and_keep_lengths(name):
    weights = initial_weights(CELLS[name], D, H, np.random.default_rng(0))
    layer = LAYERS[name](H)
    layer.build((N, T, D))
    assert [array.shape for array in weights.values()] == [array.shape for array in layer.get_weights()]
    for block in np.split(weights["recurrent_kernel"], CELLS[name].gates, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(H), atol=1e-12)


def test_an_lstm_begins_by_remembering():
    bias = initial_weights(CELLS["lstm"], D, H, np.random.default_rng(0))["bias"]
    layer = keras.layers.LSTM(H)  # unit_forget_bias is Keras' default
    layer.build((N, T, D))
    np.testing.assert_array_equal(bias, layer.get_weights()[2])
