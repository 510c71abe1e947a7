import keras
import numpy as np
import pytest

from captioner.numpy_rnn.optimizers import NumpyAdam, NumpySGD, clip_by_global_norm

PAIRS = [
    (NumpySGD(0.1), keras.optimizers.SGD(0.1)),
    (NumpySGD(0.1, momentum=0.9), keras.optimizers.SGD(0.1, momentum=0.9)),
    (NumpyAdam(0.1, epsilon=1e-8), keras.optimizers.Adam(0.1, epsilon=1e-8)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=["sgd", "momentum", "adam"])
def test_five_steps_go_where_keras_goes(ours, theirs):
    generator = np.random.default_rng(0)
    start = generator.normal(size=(3, 2)).astype(np.float32)
    weights, variable = {"w": start.copy()}, keras.Variable(start)
    for _ in range(5):
        gradient = generator.normal(size=(3, 2)).astype(np.float32)
        ours.update(weights, {"w": gradient})
        theirs.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    np.testing.assert_allclose(weights["w"], variable.numpy(), atol=1e-5)
    assert weights["w"].dtype == np.float32


def test_clipping_scales_all_gradients_by_one_factor():
    gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    assert clip_by_global_norm(gradients, limit=1) == 5
    np.testing.assert_allclose(gradients["a"], [0.6, 0])
    np.testing.assert_allclose(gradients["b"], [[0.8]])
    assert clip_by_global_norm(gradients, limit=2) == pytest.approx(1)
    np.testing.assert_allclose(gradients["b"], [[0.8]])
