import keras
import numpy as np
import pytest
from keras import layers

from captioner.encoders.folding import fold_normalizations


def normalized(network):
    """Give every weight, the normalizations' too, random values."""
    rng = np.random.default_rng(0)
    for variable in network.weights:
        low = 0.5 if "variance" in variable.name or "gamma" in variable.name else -0.5
        variable.assign(rng.uniform(low, 1.5 if low > 0 else 0.5, variable.shape))
    return network


def chain(*parts, size=6):
    inputs = outputs = keras.Input((size, size, 3))
    for part in parts:
        outputs = part(outputs)
    return normalized(keras.Model(inputs, outputs))


def count(network):
    return sum(isinstance(layer, layers.BatchNormalization) for layer in network.layers)


def assert_same(network, folded):
    pictures = np.random.default_rng(1).normal(size=(2, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(folded(pictures), network(pictures, training=False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "convolution",
    [
        lambda: layers.Conv2D(4, 3, use_bias=False),
        lambda: layers.Conv2D(4, 3, strides=2, padding="same"),
        lambda: layers.DepthwiseConv2D(3, use_bias=False),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: layers.SeparableConv2D(4, 3, use_bias=False),
        lambda: layers.SeparableConv2D(4, 3),
    ],
)
@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
def test_a_normalization_goes_into_the_convolution_before_it(convolution, settings):
    network = chain(convolution(), layers.BatchNormalization(**settings), layers.ReLU(max_value=6.0))
    folded = fold_normalizations(network)
    assert (count(network), count(folded)) == (1, 0)
    assert_same(network, folded)


def test_one_that_ends_the_network_is_folded_too():
    network = chain(layers.Conv2D(4, 3), layers.BatchNormalization())
    folded = fold_normalizations(network)
    assert count(folded) == 0
    assert_same(network, folded)


def test_what_others_see_as_well_stays():
    inputs = keras.Input((6, 6, 3))
    shared = layers.Conv2D(3, 3, padding="same")(inputs)
    residual = normalized(keras.Model(inputs, layers.Add()([shared, layers.BatchNormalization()(shared)])))
    assert fold_normalizations(residual) is residual
    both = normalized(keras.Model(inputs, [shared, layers.BatchNormalization()(shared)]))
    assert fold_normalizations(both) is both
    for parts in (
        (layers.BatchNormalization(), layers.Conv2D(4, 3)),
        (layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()),
        (layers.Conv2D(4, 3), layers.ReLU(), layers.BatchNormalization()),
    ):
        network = chain(*parts)
        assert fold_normalizations(network) is network


def test_other_layers_keep_their_weights():
    network = chain(
        layers.Rescaling(2.0),
        layers.Normalization(),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.BatchNormalization(),
        layers.Conv2D(2, 3),
    )
    network.layers[2].finalize_state()
    folded = fold_normalizations(network)
    assert (count(network), count(folded)) == (2, 1)
    assert_same(network, folded)
