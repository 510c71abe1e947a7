"""The gradients of a decoder's weights on TensorFlow."""

import keras
import numpy as np
import pytest

from tests.models.cases import CASES, make

tensorflow = pytest.importorskip("tensorflow")

TOKENS = np.array(
    [[[1, 4, 5, 6, 2], [1, 7, 2, 0, 0], [1, 0, 0, 0, 0]], [[1, 8, 9, 2, 0], [1, 4, 2, 0, 0], [1, 5, 6, 7, 8]]]
)


def gradients(case):
    """Return the gradients of a decoder's weights in a compiled pass with dropout, made the same way each time."""
    keras.utils.set_random_seed(0)
    decoder = make(case)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, *CASES[case][1])).astype("float32")
    positions = np.flatnonzero(TOKENS).astype("int32")
    upstream = rng.normal(size=(len(positions), decoder.vocabulary_size)).astype("float32")
    weights = [variable.value for variable in decoder.trainable_variables]

    @tensorflow.function
    def compiled():
        with tensorflow.GradientTape() as tape:
            memory = decoder.encode(features, training=True)
            hidden = decoder.hidden_at(tensorflow.constant(TOKENS, "int32"), positions, memory, training=True)
            loss = tensorflow.reduce_sum(decoder.logits(hidden, training=True) * upstream) + sum(decoder.losses)
        return [tensorflow.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]

    return [gradient.numpy() for gradient in compiled()]
