from types import SimpleNamespace

import keras
import pytest

from captioner.training import callbacks
from captioner.training.callbacks import AtEpochEnd, Checkpointing, EpochProgress, Pace, Shuffling
from captioner.training.checkpoint import TrainingState
from captioner.training.config import TrainConfig


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    return clock


def test_batches_and_their_time_are_counted_on_top_of_the_interrupted_epochs(clock):
    state = TrainingState(step=3, total_steps=13, seconds=20.0)
    pace = Pace(state, TrainConfig())
    clock.now += 100  # before the epoch begins
    pace.begin()
    for _ in range(2):
        clock.now += 1.5
        pace.count()
    assert (state.step, state.total_steps, state.seconds) == (5, 15, 23.0)


def test_a_checkpoint_is_due_after_so_many_minutes_since_the_last_one(clock):
    pace = Pace(TrainingState(), TrainConfig(checkpoint_minutes=2))
    found = []
    for _ in range(5):
        clock.now += 60
        found.append(pace.due())
    assert found == [False, True, False, True, False]


def test_a_checkpoint_is_due_every_so_many_batches(clock):
    state = TrainingState()
    pace = Pace(state, TrainConfig(checkpoint_minutes=None, checkpoint_steps=3))
    found = []
    for _ in range(7):
        pace.count()
        found.append(pace.due())
    assert found == [False, False, True, False, False, True, False]
    clock.now += 10**6
    pace.count()
    assert not pace.due()


def test_the_time_is_up_when_all_epochs_together_took_it(clock):
    state = TrainingState(history=[{"seconds": 40.0}], seconds=15.0)
    pace = Pace(state, TrainConfig(max_minutes=1))
    pace.begin()
    clock.now += 4
    assert not pace.out_of_time()
    clock.now += 1
    assert pace.out_of_time()
    assert not Pace(state, TrainConfig()).out_of_time()


@pytest.fixture
def model():
    """What a callback sees of a model whose one metric has a sum and a weight."""
    variables = [keras.Variable(6.0), keras.Variable(3.0)]
    return SimpleNamespace(metrics=[SimpleNamespace(variables=variables)], stop_training=False)


def checkpointing(model, state, **settings):
    saved = []
    pace = Pace(state, TrainConfig(checkpoint_minutes=None, **settings))
    callback = Checkpointing(pace, lambda: saved.append((state.step, state.loss)))
    callback.set_model(model)
    return callback, saved


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX's weights are in the trainer while it trains")
def test_checkpoints_are_written_between_batches_with_the_losses_so_far(model):
    state = TrainingState()
    callback, saved = checkpointing(model, state, checkpoint_steps=2)
    callback.on_epoch_begin(0)
    for batch in range(5):
        callback.on_train_batch_begin(batch)
        callback.on_train_batch_end(batch)
    assert saved == [(2, [6.0, 3.0]), (4, [6.0, 3.0])]
    callback.on_epoch_end(0)
    assert (state.step, state.total_steps) == (5, 5)
    assert [float(variable.numpy()) for variable in model.metrics[0].variables] == [6.0, 3.0]


def test_a_resumed_epoch_gets_its_losses_back(model):
    callback, _ = checkpointing(model, TrainingState(step=2, loss=[1.5, 0.5]))
    callback.on_epoch_begin(0)
    assert [float(variable.numpy()) for variable in model.metrics[0].variables] == [1.5, 0.5]


def test_training_stops_at_the_batch_after_which_the_time_is_up(model, clock):
    callback, _ = checkpointing(model, TrainingState(), max_minutes=1)
    callback.on_epoch_begin(0)
    found = []
    for _ in range(2):
        clock.now += 30
        callback.on_train_batch_end(0)
        found.append(model.stop_training)
    assert found == [False, True]
    assert not callback.async_safe and checkpointing(model, TrainingState())[0].async_safe


def test_an_epoch_is_shuffled_from_the_batch_that_it_resumes_at():
    calls = []
    batches = SimpleNamespace(start_at=lambda *arguments: calls.append(arguments))
    Shuffling(batches, TrainingState(step=4)).on_epoch_begin(2)
    assert calls == [(2, 4)]


def test_progress_counts_from_the_batch_that_the_epoch_resumes_at(monkeypatch):
    made = []

    class Bar:
        def __init__(self, *arguments):
            self.arguments, self.done = arguments, 0
            made.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.done = -self.done

        def advance(self, count):
            self.done += count

    monkeypatch.setattr(callbacks, "Progress", Bar)
    progress = EpochProgress(10, 5, TrainingState(step=3))
    progress.on_train_batch_end(0)  # before any epoch
    progress.on_epoch_begin(1)
    for batch in range(2):
        progress.on_train_batch_end(batch)
    progress.on_epoch_end(1)
    progress.on_epoch_end(1)
    assert [(bar.arguments, bar.done) for bar in made] == [(("epoch 2/5", 10, "batches", 3), -2)]


@pytest.mark.parametrize("exhausted", [False, True])
def test_what_follows_an_epoch_may_stop_the_training(model, exhausted):
    finished = []
    end = SimpleNamespace(
        finish=lambda *arguments: finished.append(arguments),
        exhausted=lambda: exhausted,
        progress=TrainingState(seconds=7.0),
    )
    callback = AtEpochEnd(end)
    callback.set_model(model)
    callback.on_epoch_end(0, {"loss": 1.5})
    assert finished == [(1.5, 7.0)] and model.stop_training is exhausted
