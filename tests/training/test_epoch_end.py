from types import SimpleNamespace

import keras
import pytest

from captioner.training.checkpoint import TrainingState
from captioner.training.config import TrainConfig
from captioner.training.epoch_end import EpochEnd


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
