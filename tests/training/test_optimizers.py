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


def test_the_moving_average_begins_short():
    """After t steps its momentum is at most (1 + t) / (10 + t), so a young average follows the weights."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = make_optimizer(TrainConfig(optimizer="sgd", learning_rate=0.1, ema=0.5, clip_norm=None), steps=9)
    model.compile(optimizer=optimizer, loss=lambda true, given: ops.sum(given))
    kernel = model.trainable_variables[0]
    optimizer.build([kernel])
    average = float(ops.convert_to_numpy(kernel)[0, 0])
    for step in range(9):
        model.train_on_batch(np.ones((1, 1), "float32"), np.ones((1, 1), "float32"))
        momentum = min(0.5, (1 + step) / (10 + step))
        average = momentum * average + (1 - momentum) * float(ops.convert_to_numpy(kernel)[0, 0])
    found = float(ops.convert_to_numpy(optimizer._model_variables_moving_average[0])[0, 0])
    assert found == pytest.approx(average, abs=1e-5)


def test_an_average_of_momentum_0_is_none():
    assert TrainConfig(ema=0).ema is None
