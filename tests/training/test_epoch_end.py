from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from captioner.storage import DataError
from captioner.training import recent_weights
from captioner.training.checkpoint import TrainingState, load_variables
from captioner.training.config import TrainConfig
from captioner.training.epoch_end import EpochEnd
from captioner.training.optimizers import make_optimizer

ROW = {"val_loss": 2.0, "bleu_4": 0.1, "cider_d": 0.5}


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])


def epoch_end(model, folder, scores, **settings):
    """Return the end of epochs that score `scores`, one after another, and what the weights were when it scored."""
    config = TrainConfig(optimizer="sgd", learning_rate=0.8, **{"ema": None, **settings})
    optimizer = make_optimizer(config, steps=10)
    optimizer.build(model.trainable_variables)
    left, seen = list(scores), []

    def score():
        seen.append([ops.convert_to_numpy(weight).copy() for weight in model.weights])
        return {**ROW, **left.pop(0)}

    variables = [*model.variables, *optimizer.variables]
    return EpochEnd(model, optimizer, config, TrainingState(), score, variables, folder, "identity"), seen


def rates(end):
    return [row["learning_rate"] for row in end.progress.history]


def test_the_plateau_schedule_halves_after_so_many_epochs_without_a_better_score(model, tmp_path):
    scores = [{"cider_d": value} for value in (0.5, 0.4, 0.4, 0.4, 0.4, 0.6, 0.5)]
    end, _ = epoch_end(model, tmp_path, scores, schedule="plateau", plateau_patience=2, patience=None)
    for _ in scores:
        end.finish(1.0, 0.0)
    assert rates(end) == pytest.approx([0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2])
    assert (end.progress.best_epoch, end.progress.best) == (6, 0.6)


def test_with_neighbours_the_plateau_schedule_does_not_halve_while_each_epoch_is_better(model, tmp_path):
    settings = {"schedule": "plateau", "plateau_patience": 1, "patience": None, "best_by": "neighbours"}
    rows = [{"val_loss": 1 / number} for number in range(1, 8)]
    end, _ = epoch_end(model, tmp_path, rows, monitor="val_loss", **settings)
    for _ in rows:
        end.finish(1.0, 0.0)
    assert rates(end) == pytest.approx([0.8] * 7)


def test_with_neighbours_the_plateau_schedule_halves_when_the_judged_epochs_are_no_better(model, tmp_path):
    settings = {"schedule": "plateau", "plateau_patience": 2, "patience": None, "best_by": "neighbours"}
    rows = [{"val_loss": float(number)} for number in range(1, 8)]
    end, _ = epoch_end(model, tmp_path, rows, monitor="val_loss", **settings)
    for _ in rows:
        end.finish(1.0, 0.0)
    assert rates(end) == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4])  # epoch 3 is judged after epoch 4


def test_other_schedules_are_not_halved(model, tmp_path):
    end, _ = epoch_end(model, tmp_path, [{}] * 4, plateau_patience=1, patience=None)
    for _ in range(4):
        end.finish(1.0, 0.0)
    assert rates(end) == pytest.approx([0.8] * 4)


def test_the_average_is_scored_and_kept_and_training_goes_on_with_the_weights(model, tmp_path):
    end, seen = epoch_end(model, tmp_path, [{}], ema=0.9)
    averages = end.optimizer._model_variables_moving_average
    for average in averages:
        average.assign(ops.ones_like(average) * 7)
    before = [ops.convert_to_numpy(weight).copy() for weight in model.weights]
    end.finish(1.0, 0.0)
    for scored in seen[0]:
        np.testing.assert_array_equal(scored, np.full_like(scored, 7))
    for weight, old, average in zip(model.weights, before, averages, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)
        np.testing.assert_array_equal(ops.convert_to_numpy(average), np.full_like(old, 7))
    load_variables(tmp_path / "best.npz", model.weights, "identity")
    for weight in model.weights:
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), np.full(weight.shape, 7))


def test_without_an_average_the_weights_are_scored(model, tmp_path):
    end, seen = epoch_end(model, tmp_path, [{}])
    end.finish(1.0, 0.0)
    for scored, weight in zip(seen[0], model.weights, strict=True):
        np.testing.assert_array_equal(scored, ops.convert_to_numpy(weight))


def test_training_is_exhausted_after_patience_epochs_without_a_better_score(model, tmp_path, said):
    scores = [{"cider_d": value} for value in (0.5, 0.6, 0.5, 0.6)]
    end, _ = epoch_end(model, tmp_path, [*scores], patience=2)
    found = []
    for _ in scores:
        end.finish(1.0, 0.0)
        found.append(end.exhausted())
    assert found == [False, False, False, True]
    assert said[-1] == "stopping: no better cider_d for 2 epochs"


def test_of_equal_scores_the_lower_loss_is_better(model, tmp_path):
    end, _ = epoch_end(model, tmp_path, [{"val_loss": 3.0}, {"val_loss": 2.0}, {"val_loss": 2.5}])
    for _ in range(3):
        end.finish(1.0, 0.0)
    assert end.progress.best_epoch == 2


def test_by_the_loss_less_is_better(model, tmp_path):
    scores = [{"val_loss": 3.0, "cider_d": 0.9}, {"val_loss": 2.0, "cider_d": 0.1}, {"val_loss": 2.5, "cider_d": 1.0}]
    end, _ = epoch_end(model, tmp_path, scores, monitor="val_loss")
    for _ in range(3):
        end.finish(1.0, 0.0)
    assert (end.progress.best_epoch, end.progress.best) == (2, 2.0)


def test_a_loss_that_is_no_number_ends_the_training(model, tmp_path):
    end, _ = epoch_end(model, tmp_path, [{}])
    with pytest.raises(DataError, match=r"the loss is not a number; lower train\.learning_rate"):
        end.finish(float("nan"), 0.0)
    assert not list(tmp_path.iterdir())


def test_a_row_holds_rate_loss_and_scores(model, tmp_path):
    end, _ = epoch_end(model, tmp_path, [{}])
    end.finish(1.25, 3.0)
    assert end.progress.history == [{"epoch": 1, "loss": 1.25, **ROW, "learning_rate": 0.8, "seconds": 3.0}]


def go_through(tmp_path, scores, **settings):
    """Let epochs with these (monitored score, chance, dev loss) end; return the state and the epoch that stopped."""
    config = TrainConfig(epochs=len(scores), **settings)
    decoder = SimpleNamespace(weights=[keras.Variable([1.0])], trainable_variables=[])
    rows = iter(
        {"val_loss": loss, "bleu_4": 0.0, "cider_d": score, "chance": chance, "distinct": 2.0}
        for score, chance, loss in scores
    )
    state = TrainingState()
    optimizer = SimpleNamespace(learning_rate=0.1)
    end = EpochEnd(decoder, optimizer, config, state, lambda: next(rows), decoder.weights, tmp_path, "identity")
    while state.epoch < len(scores) and not end.exhausted():
        end.finish(1.0, 0.0)
    return state


FALLING = [5.5 - 0.1 * epoch for epoch in range(20)]


def test_patience_waits_until_captions_score(tmp_path):
    silent = [(0.0, 0.0, loss) for loss in FALLING[:10]]
    state = go_through(tmp_path, [*silent, (0.2, 0.1, 4.0), *[(0.1, 0.05, 3.9)] * 9], patience=3)
    assert (state.best_epoch, state.epoch) == (11, 14)


def test_epochs_that_score_nothing_are_told_apart_by_the_loss(tmp_path):
    state = go_through(tmp_path, [(0.0, 0.0, loss) for loss in (5.0, 4.0, 3.0, 3.5)], patience=2)
    assert (state.best_epoch, state.epoch) == (3, 4)


def test_a_score_that_chance_gives_too_does_not_count(tmp_path):
    state = go_through(tmp_path, [(0.3, 0.4, 5.0), (0.1, 0.2, 4.0), (0.05, 0.01, 4.5)], patience=2)
    assert state.best_epoch == 3


def test_captions_all_alike_are_chosen_by_the_loss(tmp_path):
    state = go_through(tmp_path, [(0.2, 0.2, 5.0), (0.1, 0.1, 4.0)], patience=2)
    assert state.best_epoch == 2


def test_the_loss_as_monitor_needs_no_captions(tmp_path):
    scores = [(0.0, 0.0, loss) for loss in (5.0, 4.0, 4.1, 4.2, 4.3)]
    state = go_through(tmp_path, scores, patience=2, monitor="val_loss")
    assert (state.best_epoch, state.epoch) == (2, 4)


def test_scores_without_chance_are_those_of_other_callers(tmp_path):
    config = TrainConfig(epochs=2, patience=None)
    decoder = SimpleNamespace(weights=[keras.Variable([1.0])], trainable_variables=[])
    rows = iter({"val_loss": 1.0, "bleu_4": score, "cider_d": score} for score in (0.1, 0.2))
    state = TrainingState()
    end = EpochEnd(decoder, SimpleNamespace(learning_rate=0.1), config, state, lambda: next(rows), [], tmp_path, "i")
    end.finish(1.0, 0.0)
    end.finish(1.0, 0.0)
    assert state.best_epoch == 2 and state.best == pytest.approx(0.2)


def weights_of(model):
    return np.concatenate([ops.convert_to_numpy(weight).ravel() for weight in model.weights])


def train_through(model, end, values):
    """Let epochs end whose training leaves all weights at these values."""
    for value in values:
        for weight in model.weights:
            weight.assign(ops.full(weight.shape, value))
        end.finish(1.0, 0.0)


def test_by_its_neighbours_an_epoch_between_good_ones_is_better_than_a_lucky_one(model, tmp_path):
    scores = [{"cider_d": value} for value in (0.1, 0.9, 0.1, 0.6, 0.7, 0.6, 0.2)]
    settings = {"epochs": 7, "patience": None}
    alone, _ = epoch_end(model, tmp_path / "alone", scores, **settings)
    train_through(model, alone, range(7))
    assert alone.progress.best_epoch == 2
    beside, _ = epoch_end(model, tmp_path / "beside", scores, **settings, best_by="neighbours")
    train_through(model, beside, range(7))
    assert beside.progress.best_epoch == 5
    load_variables(tmp_path / "beside" / "best.npz", model.weights, "identity")
    np.testing.assert_array_equal(weights_of(model), [4, 4, 4])


def test_by_its_neighbours_the_last_epoch_can_be_the_best(model, tmp_path):
    scores = [{"cider_d": value} for value in (0.1, 0.2, 0.5)]
    end, _ = epoch_end(model, tmp_path, scores, epochs=3, best_by="neighbours")
    train_through(model, end, range(3))
    assert end.progress.best_epoch == 3
    load_variables(tmp_path / "best.npz", model.weights, "identity")
    np.testing.assert_array_equal(weights_of(model), [2, 2, 2])


def test_patience_with_neighbours_waits_until_the_epoch_can_be_judged(model, tmp_path):
    scores = [{"cider_d": value} for value in (0.5, 0.4, 0.3, 0.2, 0.1)]
    end, _ = epoch_end(model, tmp_path, scores, epochs=9, patience=2, best_by="neighbours")
    found = []
    for _ in range(4):
        end.finish(1.0, 0.0)
        found.append((end.progress.best_epoch, end.exhausted()))
    assert found == [(0, False), (1, False), (1, False), (1, True)]


def test_the_mean_of_the_last_epochs_is_scored_and_kept_and_training_goes_on_with_its_own_weights(model, tmp_path):
    end, seen = epoch_end(model, tmp_path, [{"cider_d": 0.1 * n} for n in range(1, 6)], average_epochs=3)
    own = []
    for value in (3, 6, 12, 0, 3):
        train_through(model, end, [value])
        own.append(weights_of(model)[0])
    assert own == [3, 6, 12, 0, 3]
    assert [float(scored[0].ravel()[0]) for scored in seen] == [3, 4.5, 7, 6, 5]
    load_variables(tmp_path / "best.npz", model.weights, "identity")
    np.testing.assert_array_equal(weights_of(model), [5, 5, 5])


def test_a_mean_of_epochs_is_of_the_moving_averages_where_there_are_some(model, tmp_path):
    end, seen = epoch_end(model, tmp_path, [{}, {}], average_epochs=2, ema=0.9)
    averages = end.optimizer._model_variables_moving_average
    for average in (2, 4):
        for variable in averages:
            variable.assign(ops.full(variable.shape, average))
        train_through(model, end, [7])
    assert [float(scored[0].ravel()[0]) for scored in seen] == [2, 3]
    np.testing.assert_array_equal(weights_of(model), [7, 7, 7])
    np.testing.assert_array_equal(ops.convert_to_numpy(averages[0]), np.full(averages[0].shape, 4))


def test_captions_are_scored_every_so_many_epochs_and_after_the_last(model, tmp_path, said):
    asked = []

    def score(captions=True):
        asked.append(captions)
        return ROW if captions else {"val_loss": 2.0}

    end, _ = epoch_end(model, tmp_path, [], epochs=5, score_every=2, patience=1)
    end.score = score
    for _ in range(5):
        end.finish(1.0, 0.0)
    assert asked == [False, True, False, True, True]
    assert [("cider_d" in row) for row in end.progress.history] == asked
    assert end.progress.best_epoch == 2
    assert said[0].startswith("epoch 1/5: loss 1.0000, dev loss 2.0000; 0.0 s")


def test_patience_ends_a_training_only_at_an_epoch_that_was_scored(model, tmp_path):
    end, _ = epoch_end(model, tmp_path, [{"cider_d": 0.5}, {"cider_d": 0.4}], epochs=20, score_every=4, patience=2)
    score = end.score
    end.score = lambda captions=True: score() if captions else {"val_loss": 2.0}
    found = []
    for _ in range(8):
        end.finish(1.0, 0.0)
        found.append(end.exhausted())
    assert found == [False] * 7 + [True]


def test_an_epoch_whose_weights_a_full_disk_refuses_is_left_out_of_the_mean(model, tmp_path, monkeypatch, said):
    end, seen = epoch_end(model, tmp_path, [{}] * 3, average_epochs=3)
    save = recent_weights.save_variables

    def full(path, *rest):
        if path.name == "epoch-0002.npz":
            raise DataError(f"{path}: cannot be written (No space left on device)")
        save(path, *rest)

    monkeypatch.setattr(recent_weights, "save_variables", full)
    train_through(model, end, (3, 100, 5))
    assert [float(scored[0].ravel()[0]) for scored in seen] == [3, 3, 4]
    assert sum("epoch 2 is left out of the mean of epochs" in line for line in said) == 1


def test_the_reason_for_an_early_end_is_said_once_and_an_epoch_that_goes_on_says_none(model, tmp_path, said):
    end, _ = epoch_end(model, tmp_path, [{}] * 3, patience=2, max_minutes=None)
    for _ in range(3):
        assert not any("stopping" in line for line in said)
        end.finish(1.0, 0.0)
    assert [line for line in said if "stopping" in line] == ["stopping: no better cider_d for 2 epochs"]


def test_that_the_minutes_are_over_is_said(model, tmp_path, said):
    end, _ = epoch_end(model, tmp_path, [{}] * 2, patience=None, max_minutes=1.5)
    end.finish(1.0, 60.0)
    assert not any("stopping" in line for line in said)
    end.finish(1.0, 60.0)
    assert said[-1] == "stopping: the 1.5 minutes of train.max_minutes are over"


def test_an_epoch_that_was_begun_before_the_minutes_were_over_is_still_scored(model, tmp_path):
    end, _ = epoch_end(model, tmp_path, [{}], patience=None, max_minutes=1)
    end.progress.step, end.progress.seconds = 30, 61.0
    assert not end.exhausted()
    end.finish(1.0, 61.0)
    assert end.exhausted() and end.progress.best_epoch == 1
