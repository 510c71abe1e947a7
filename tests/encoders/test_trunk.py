import keras
import numpy as np

from captioner.encoders.trunk import clone_in, randomize, set_weights, stable_names, weights_digest


def network():
    inputs = keras.Input((6, 6, 3))
    outputs = keras.layers.Normalization(name="scaled")(inputs)
    for width in (4, 5):
        outputs = keras.layers.ReLU()(keras.layers.Conv2D(width, 3)(outputs))
    outputs = keras.layers.Activation("tanh", name="relu_9")(outputs)
    return keras.Model(inputs, outputs)


def test_names_do_not_hang_on_what_was_built_before():
    expected = ["scaled", "conv2d", "re_lu", "conv2d_1", "re_lu_1", "relu_9"]
    for _ in range(2):
        assert list(stable_names(network())) == expected


def test_random_weights_and_their_digest_are_the_same_every_time():
    first, second = network(), network()
    assert weights_digest(first) != weights_digest(second)
    randomize(first)
    randomize(second)
    assert weights_digest(first) == weights_digest(second)
    part = keras.Model(first.input, stable_names(first)["conv2d"].output)
    assert weights_digest(part) != weights_digest(first)


def test_a_change_of_one_weight_changes_the_digest():
    model = network()
    before = weights_digest(model)
    bias = model.weights[-1]
    bias.assign(bias + 1e-3)
    assert weights_digest(model) != before


def test_a_clone_in_bfloat16_has_the_normalizations_numbers():
    model = network()
    set_weights(model.get_layer("scaled"), [np.float32([1, 2, 3]), np.float32([4, 9, 16]), np.int32(1)])
    narrow = clone_in(model, "bfloat16")
    pictures = np.random.default_rng(0).uniform(0, 9, (2, 6, 6, 3)).astype(np.float32)
    found = np.asarray(keras.ops.cast(narrow(pictures), "float32"))
    assert str(narrow.layers[2].kernel.dtype).endswith("bfloat16")
    np.testing.assert_allclose(found, model(pictures), atol=0.05)
