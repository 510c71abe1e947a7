import keras
import numpy as np
import pytest
from keras import ops

from captioner.training.config import TrainConfig
from captioner.training.optimizers import make_optimizer


@pytest.mark.parametrize("settings", [{"optimizer": "adam"}, {"optimizer": "adamw"}, {"optimizer": "sgd"}])
def test_a_word_that_occurs_twice_has_one_gradient(settings):
    """Rows that cancel each other out move nothing, and clipping sees nothing of them."""
    embedding = keras.layers.Embedding(4, 2)
    model = keras.Sequential([keras.Input((4,), dtype="int32"), embedding, keras.layers.Flatten()])
    before = ops.convert_to_numpy(embedding.embeddings).copy()
    config = TrainConfig(learning_rate=0.1, clip_norm=0.5, **settings)
    model.compile(optimizer=make_optimizer(config, steps=1), loss=lambda true, given: ops.sum(true * given))
    up_and_down = np.array([[3, 3, -3, -3, 0.1, 0.1, 0, 0]], "float32")  # words 1, 1, 2, 3, two numbers each
    model.train_on_batch(np.array([[1, 1, 2, 3]], "int32"), up_and_down)
    moved = ops.convert_to_numpy(embedding.embeddings) - before
    np.testing.assert_array_equal(moved[[0, 1, 3]], 0)
    assert np.all(moved[2] < 0)
    if settings["optimizer"] == "sgd":
        np.testing.assert_allclose(moved[2], -0.01, rtol=1e-4)  # a norm of 0.14 is not clipped
