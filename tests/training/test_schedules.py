import keras
import numpy as np
import pytest

from captioner.training.config import TrainConfig
from captioner.training.schedules import learning_rate


def rates(steps, at, **settings):
    rate = learning_rate(TrainConfig(learning_rate=0.1, **settings), steps)
    return [float(rate) if isinstance(rate, float) else float(rate(step)) for step in at]


def test_constant():
    assert rates(100, [0, 50, 99]) == [0.1, 0.1, 0.1]


def test_a_warm_up_rises_in_a_straight_line_and_stays():
    np.testing.assert_allclose(rates(100, [0, 5, 10, 99], warmup=0.1), [0, 0.05, 0.1, 0.1], atol=1e-7)


def test_cosine_ends_at_nothing():
    np.testing.assert_allclose(rates(100, [0, 50, 100], schedule="cosine"), [0.1, 0.05, 0], atol=1e-7)


def test_cosine_after_a_warm_up():
    found = rates(100, [0, 10, 20, 60, 100], schedule="cosine", warmup=0.2)
    np.testing.assert_allclose(found, [0, 0.05, 0.1, 0.05, 0], atol=1e-7)


def test_steps_fall_at_once_and_exponentials_smoothly():
    settings = {"epochs": 10, "decay_rate": 0.5, "decay_epochs": 2}  # 20 of 100 steps
    np.testing.assert_allclose(rates(100, [0, 19, 20, 40], schedule="step", **settings), [0.1, 0.1, 0.05, 0.025])
    found = rates(100, [0, 10, 20, 40], schedule="exponential", **settings)
    np.testing.assert_allclose(found, [0.1, 0.1 * 0.5**0.5, 0.05, 0.025], rtol=1e-6)


def test_inverse_square_root_falls_from_the_end_of_the_warm_up():
    found = rates(100, [5, 10, 40, 90], schedule="inverse_sqrt", warmup=0.1)
    np.testing.assert_allclose(found, [0.05, 0.1, 0.05, 0.1 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "at", "expected"),
    [
        ({"schedule": "step", "epochs": 10, "decay_epochs": 1, "decay_rate": 0.5}, [0, 1], [0.1, 0.05]),
        ({"schedule": "inverse_sqrt", "warmup": 0.1}, [0, 3], [0.1, 0.05]),
        ({"schedule": "cosine", "warmup": 0.9}, [4, 5], [0.1, 0.0]),
    ],
    ids=["step", "inverse_sqrt", "cosine"],
)
def test_runs_too_short_for_their_schedule_have_it_at_its_shortest(settings, at, expected):
    np.testing.assert_allclose(rates(4, at, **settings), expected, atol=1e-7)


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt", "step"])
def test_schedules_can_be_saved(schedule):
    rate = learning_rate(TrainConfig(schedule=schedule, warmup=0.2), 50)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    assert [float(again(step)) for step in (3, 10, 30)] == [float(rate(step)) for step in (3, 10, 30)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "plateau", "warmup": 0.1}, "warmup does not work with schedule plateau"),
        ({"schedule": "inverse_sqrt"}, "needs warmup"),
        ({"decay_rate": 1.0}, "decay_rate must be between 0 and 1"),
        ({"weight_decay": 0.1}, "weight_decay needs optimizer: adamw or lion"),
        ({"momentum": 0.1}, "momentum needs optimizer: sgd or rmsprop"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)
