import keras
import numpy as np
import pytest
from keras import ops

pytest.importorskip("tensorflow")

from captioner.export.saved_model import _Stored

COUNT = 128  # outputs: enough for every kernel here to be narrowed


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.DepthwiseConv2D(3), (8, 8, COUNT)),
        (keras.layers.Conv2D(COUNT, 3), (8, 8, 16)),
        (keras.layers.Dense(COUNT), (48,)),
    ],
    ids=["depthwise", "convolution", "dense"],
)
def test_every_output_of_a_kernel_has_its_own_int8_scale(layer, shape):
    model = keras.Sequential([keras.Input(shape), layer])
    kernel = model.weights[0]
    values = np.random.default_rng(0).normal(size=kernel.shape).astype("float32")
    scales = np.geomspace(1e-3, 1e3, COUNT)
    values *= scales.reshape((COUNT, 1) if values.shape[-1] == 1 else (COUNT,))
    kernel.assign(values)
    stored = _Stored(model.variables)
    stored.narrow("int8")
    with stored.widened():
        found = ops.convert_to_numpy(kernel.value)
    outputs = values.ndim - 2 if values.shape[-1] == 1 else values.ndim - 1
    others = tuple(axis for axis in range(values.ndim) if axis != outputs)
    error = np.abs(found - values).max(axis=others) / np.abs(values).max(axis=others)
    assert 0 < error.max() < 0.005
