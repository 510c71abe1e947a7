from dataclasses import replace

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


def variables(*values, names=("kernel", "kernel")):
    return [keras.Variable(np.float32(value), name=name) for value, name in zip(values, names, strict=False)]


def move(optimizer, weights, *gradients):
    """Take a step for each tuple of gradients."""
    for step in gradients:
        optimizer.apply([ops.convert_to_tensor(np.float32(gradient)) for gradient in step], weights)
    return [ops.convert_to_numpy(weight) for weight in weights]


def rates(optimizer, *steps):
    """Return the learning rate after so many steps."""
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_the_cosine_falls_from_the_learning_rate_to_nothing():
    optimizer = make_optimizer(TrainConfig(learning_rate=0.4, schedule="cosine"), steps=8)
    assert rates(optimizer, 0, 2, 4, 8) == pytest.approx([0.4, 0.2 + 0.2 * np.cos(np.pi / 4), 0.2, 0.0], abs=1e-6)


def test_a_warmed_up_cosine_climbs_in_its_share_of_the_steps_and_then_falls():
    config = TrainConfig(learning_rate=0.4, schedule="cosine", warmup=0.2)
    optimizer = make_optimizer(config, steps=10)
    assert rates(optimizer, 0, 1, 2, 6, 10) == pytest.approx([0.0, 0.2, 0.4, 0.2, 0.0], abs=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_other_schedules_begin_with_the_learning_rate_and_keep_it(schedule):
    assert (
        rates(make_optimizer(TrainConfig(learning_rate=0.4, schedule=schedule), steps=8), 0, 8)
        == [pytest.approx(0.4)] * 2
    )


def test_gradients_are_clipped_by_the_norm_of_all_of_them():
    weights = variables([0, 0], [0, 0])
    optimizer = make_optimizer(TrainConfig(learning_rate=1.0, optimizer="sgd", clip_norm=1.0), steps=1)
    moved = move(optimizer, weights, ([3, 0], [0, 4]))  # a norm of 5
    np.testing.assert_allclose(moved, [[-0.6, 0], [0, -0.8]], rtol=1e-5)
    weights = variables([0, 0], [0, 0])
    optimizer = make_optimizer(TrainConfig(learning_rate=1.0, optimizer="sgd", clip_norm=None), steps=1)
    np.testing.assert_allclose(move(optimizer, weights, ([3, 0], [0, 4])), [[-3, 0], [0, -4]], rtol=1e-6)


def test_momentum_adds_the_steps_before():
    weights = variables([0])
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1, optimizer="sgd", momentum=0.9), steps=2)
    np.testing.assert_allclose(move(optimizer, weights, ([1],), ([1],)), [[-0.29]], rtol=1e-5)  # 0.1 + 0.19


def test_adam_divides_by_the_size_of_the_gradient():
    weights = variables([1, 1])
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1), steps=1)
    np.testing.assert_allclose(move(optimizer, weights, ([5, -0.01],)), [[0.9, 1.1]], rtol=1e-4)


def test_adamw_decays_weights_and_leaves_biases():
    weights = variables([2], [2], names=("kernel", "bias"))
    config = TrainConfig(learning_rate=0.1, optimizer="adamw", weight_decay=0.01)
    moved = move(make_optimizer(config, steps=1), weights, ([0], [0]))
    np.testing.assert_allclose(moved, [[2 - 2 * 0.1 * 0.01], [2]], rtol=1e-6)


@pytest.mark.parametrize("settings", [{"optimizer": "sgd"}, {"optimizer": "adamw", "weight_decay": 0.5}])
def test_an_encoder_learns_at_its_rate_and_does_not_decay(settings):
    weights = variables([2], [2])
    config = TrainConfig(learning_rate=0.1, encoder_rate=0.25, **settings)
    optimizer = make_optimizer(config, steps=1, of_encoder=weights[1:])
    before = move(optimizer, weights, ([0], [0]))
    assert before[1] == 2 and (before[0] < 2) == ("weight_decay" in settings)
    after = move(optimizer, weights, ([1], [1]))
    others = before[0] - after[0] - 0.1 * settings.get("weight_decay", 0) * before[0]
    np.testing.assert_allclose(before[1] - after[1], 0.25 * others, rtol=1e-4)


def test_the_moving_average_of_three_steps():
    weights = variables([0])
    optimizer = make_optimizer(TrainConfig(learning_rate=1.0, optimizer="sgd", ema=0.9), steps=3)
    averages = []
    for _ in range(3):  # the weight is 1, 2, 3; the average's momentum 1/10, 2/11, 3/12
        move(optimizer, weights, ([-1],))
        averages.append(float(ops.convert_to_numpy(optimizer._model_variables_moving_average[0])[0]))
    assert averages == pytest.approx([0.9, 1.8, 2.7], rel=1e-5)
    optimizer.iterations.assign(1000)  # the momentum has reached the recipe's
    move(optimizer, weights, ([-1],))
    average = float(ops.convert_to_numpy(optimizer._model_variables_moving_average[0])[0])
    assert average == pytest.approx(0.9 * 2.7 + 0.1 * 4, rel=1e-5)


def test_without_ema_there_is_no_average():
    assert not make_optimizer(TrainConfig(), steps=1).use_ema


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
    assert found == pytest.approx(average, abs=1e-6)


def test_an_average_of_momentum_0_is_none():
    assert TrainConfig(ema=0).ema is None


def test_a_schedule_counts_updates_and_not_the_batches_between_them():
    config = TrainConfig(learning_rate=0.4, schedule="cosine", warmup=0.25, accumulate=4)
    plain = rates(make_optimizer(replace(config, accumulate=1), steps=8), 0, 1, 2, 5, 8)
    optimizer = make_optimizer(config, steps=32)
    found = []
    for batches in (0, 4, 8, 20, 32):
        optimizer._iterations.assign(batches)
        found.append(float(optimizer.learning_rate))
    assert found == pytest.approx(plain, abs=1e-6)


def test_accumulated_batches_move_the_weights_as_one_batch_does():
    config = TrainConfig(learning_rate=0.4, optimizer="sgd", schedule="cosine", ema=0.9, clip_norm=None)
    weights, others = variables([0]), variables([0])
    one, several = make_optimizer(config, steps=3), make_optimizer(replace(config, accumulate=2), steps=6)
    for gradient in (1.0, 2.0, 3.0):
        moved = move(one, weights, ([gradient],))
        np.testing.assert_allclose(move(several, others, ([gradient - 0.5],), ([gradient + 0.5],)), moved, rtol=1e-5)
        averages = [ops.convert_to_numpy(each._model_variables_moving_average[0]) for each in (one, several)]
        np.testing.assert_allclose(averages[1], averages[0], rtol=1e-5)
