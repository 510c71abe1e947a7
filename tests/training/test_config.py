import pytest

from captioner.config import build
from captioner.training.config import SelfCriticalConfig, TrainConfig


@pytest.mark.parametrize(
    ("name", "lowest"),
    [
        *[(name, 1) for name in ("epochs", "batch_size", "least_steps", "plateau_patience", "accumulate")],
        *[(name, 1) for name in ("average_epochs", "score_every", "patience", "score_pictures")],
        ("seed", 0),
    ],
)
def test_whole_numbers_have_a_least_value(name, lowest):
    assert getattr(TrainConfig(**{name: lowest}), name) == lowest
    with pytest.raises(ValueError, match=f"^{name} must be .*, found {lowest - 1}$"):
        TrainConfig(**{name: lowest - 1})


@pytest.mark.parametrize("name", ["patience", "score_pictures", "max_minutes", "checkpoint_minutes", "clip_norm"])
def test_null_turns_a_setting_off(name):
    assert getattr(TrainConfig(**{name: None}), name) is None


@pytest.mark.parametrize(
    "name", ["max_minutes", "checkpoint_minutes", "checkpoint_steps", "clip_norm", "learning_rate", "decay_epochs"]
)
def test_these_settings_are_above_0(name):
    TrainConfig(**{name: 0.01})
    with pytest.raises(ValueError, match=f"^{name} must be above 0"):
        TrainConfig(**{name: 0})


@pytest.mark.parametrize("name", ["label_smoothing", "warmup", "scheduled_sampling", "momentum"])
def test_shares_are_below_1(name):
    more = {"optimizer": "sgd"}
    TrainConfig(**{name: 0.0}, **more)
    TrainConfig(**{name: 0.99}, **more)
    for value in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"^{name} must be at least 0 and below 1, found {value}"):
            TrainConfig(**{name: value}, **more)


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 2**32},
        {"ema": 1.0},
        {"ema": -0.1},
        {"decay_rate": 0.0},
        {"decay_rate": 1.0},
        {"encoder_rate": 1.1},
        {"encoder_rate": -0.1},
        {"momentum": 0.5, "optimizer": "adam"},
        {"weight_decay": 0.1, "optimizer": "sgd"},
        {"self_critical": SelfCriticalConfig(), "begin_from": "runs/a", "scheduled_sampling": 0.1},
    ],
)
def test_impossible_settings_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 2**32 - 1},
        {"encoder_rate": 0.0},
        {"encoder_rate": 1.0},
        {"momentum": 0.5, "optimizer": "rmsprop"},
        {"weight_decay": 0.1, "optimizer": "lion"},
        {"warmup": 0.1, "schedule": "inverse_sqrt"},
        {"self_critical": SelfCriticalConfig(), "begin_from": "runs/a"},
    ],
)
def test_settings_at_their_limits_are_taken(settings):
    found = TrainConfig(**settings)
    assert {name: getattr(found, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("batch_size", "pictures", "expected"),
    [(64, 1000, 64), (64, 512, 64), (64, 504, 63), (64, 40, 5), (64, 8, 4), (2, 8, 2)],
)
def test_few_pictures_make_small_batches(batch_size, pictures, expected):
    assert TrainConfig(batch_size=batch_size).batch_size_for(pictures) == expected


@pytest.mark.parametrize(
    ("distill", "teachers"), [(None, ()), ("a.json", ("a.json",)), (("a.json", "b.json"), ("a.json", "b.json"))]
)
def test_distill_names_one_file_or_several(distill, teachers):
    assert build(TrainConfig, {"distill": distill}, "train").teachers == teachers
