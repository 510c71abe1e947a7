import keras
import numpy as np
import pytest

from captioner.storage import DataError
from captioner.training.checkpoint import TrainingState
from captioner.training.recent_weights import RecentWeights


@pytest.fixture
def recent(tmp_path):
    return RecentWeights(tmp_path, "epoch", 2, "identity")


def keep(recent, epoch, value):
    recent.keep([keras.Variable(np.full(3, value, "float32"))], TrainingState(epoch=epoch))


def test_the_mean_is_of_the_newest_epochs_and_of_their_type(recent):
    for epoch in (1, 2, 3):
        keep(recent, epoch, epoch)
    [mean] = recent.mean(3)
    np.testing.assert_array_equal(mean, np.full(3, 2.5, "float32"))
    assert mean.dtype == "float32"
    np.testing.assert_array_equal(recent.mean(1), [np.full(3, 1, "float32")])
    assert recent.mean(9) is None


def test_on_a_full_disk_an_epoch_is_left_out_and_training_continues(recent, said, monkeypatch):
    keep(recent, 1, 1)

    def full(*_):
        raise DataError("epoch-0002.npz: the disk is full")

    monkeypatch.setattr("captioner.training.recent_weights.save_variables", full)
    keep(recent, 2, 2)
    assert said == [
        "note: epoch 2 is left out of the mean of epochs; training continues: epoch-0002.npz: the disk is full"
    ]
    np.testing.assert_array_equal(recent.mean(2), [np.full(3, 1, "float32")])


def test_old_epochs_are_forgotten(recent, tmp_path):
    for epoch in range(1, 11):
        keep(recent, epoch, epoch)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"epoch-{n:04d}.npz" for n in (6, 7, 8, 9, 10)]


def test_a_run_that_went_further_before_it_died_is_forgotten(recent, tmp_path):
    for epoch, value in ((1, 1), (2, 2), (3, 3), (2, 8)):
        keep(recent, epoch, value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0001.npz", "epoch-0002.npz"]
    np.testing.assert_array_equal(recent.mean(2)[0], np.full(3, 4.5))


def test_weights_of_another_run_are_refused(recent, tmp_path):
    keep(recent, 1, 1)
    with pytest.raises(DataError, match="other settings or data"):
        RecentWeights(tmp_path, "epoch", 2, "another").mean(1)


def test_an_epoch_that_is_not_there_cannot_be_copied(recent, tmp_path):
    with pytest.raises(DataError, match=r"epoch-0004\.npz: no such file"):
        recent.copy(4, tmp_path / "best.npz")
