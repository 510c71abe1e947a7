"""The best weights of a run that is killed before the checkpoint that names them."""

import keras
import numpy as np
import pytest
from keras import ops

from captioner.storage import DataError
from captioner.training.best_weights import FORMER, BestWeights
from captioner.training.checkpoint import TrainingState, save_variables


@pytest.fixture
def weight():
    return keras.Variable(np.zeros(3, "float32"))


def keep(folder, weight, epoch, best_before, value=None):
    """Keep an epoch's weights, whose values are the epoch's number."""
    weight.assign(ops.full((3,), float(epoch if value is None else value)))
    progress = TrainingState(epoch=epoch, best_epoch=best_before)
    BestWeights(folder, "id").keep(lambda path: save_variables(path, [weight], progress, "id"), best_before)


def best(folder, weight, epoch):
    BestWeights(folder, "id").load([weight], epoch)
    return float(ops.convert_to_numpy(weight)[0])


def test_the_newest_best_epoch_is_kept_in_one_file(tmp_path, weight):
    for epoch in (1, 2, 3):
        keep(tmp_path, weight, epoch, epoch - 1)
        BestWeights(tmp_path, "id").settle(epoch)
    assert best(tmp_path, weight, 3) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["best.npz"]


def test_a_repeated_epoch_that_is_no_better_leaves_the_best_before_it(tmp_path, weight):
    keep(tmp_path, weight, 1, 0)
    BestWeights(tmp_path, "id").settle(1)
    keep(tmp_path, weight, 2, 1)  # the run is killed here: no checkpoint knows epoch 2
    assert best(tmp_path, weight, 1) == 1
    BestWeights(tmp_path, "id").settle(1)  # epoch 2 again, with a lower score
    assert best(tmp_path, weight, 1) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["best.npz"]


def test_a_run_that_is_killed_twice_after_the_same_epoch_has_both(tmp_path, weight):
    keep(tmp_path, weight, 1, 0)
    BestWeights(tmp_path, "id").settle(1)
    keep(tmp_path, weight, 2, 1, value=20)
    keep(tmp_path, weight, 2, 1, value=21)
    assert best(tmp_path, weight, 1) == 1
    assert best(tmp_path, weight, 2) == 21
    BestWeights(tmp_path, "id").settle(2)
    assert best(tmp_path, weight, 2) == 21 and not (tmp_path / FORMER).exists()


def test_where_the_disk_is_full_the_former_weights_stay(tmp_path, weight):
    keep(tmp_path, weight, 1, 0)

    def fail(path):
        raise DataError("no space left")

    with pytest.raises(DataError, match="no space"):
        BestWeights(tmp_path, "id").keep(fail, 1)
    BestWeights(tmp_path, "id").settle(1)
    assert best(tmp_path, weight, 1) == 1
