import keras
import numpy as np
import pytest

from captioner.storage import DataError
from captioner.training.checkpoint import (
    OtherRunError,
    TrainingState,
    is_same_run,
    load_checkpoint,
    load_variables,
    newest_checkpoint,
    require_identity,
    save_checkpoint,
    save_variables,
)


def variables(*values):
    return [keras.Variable(np.float32(value)) for value in values]


def save(folder, value, steps, identity="identity"):
    save_checkpoint(folder, variables([value, value]), TrainingState(epoch=1, total_steps=steps), identity)


def value_of(folder):
    found = variables([0, 0])
    state = load_checkpoint(folder, found, "identity")
    return float(found[0].numpy()[0]), state.total_steps


def test_values_and_progress_come_back(tmp_path):
    state = TrainingState(3, 2, 0.5, 1, [{"epoch": 1, "seconds": 2.0}], step=4, loss=[1.5, 2.0], seconds=3.0)
    save_variables(tmp_path / "a.npz", variables([1, 2], [[3.0]]), state, "identity")
    found = variables([0, 0], [[0]])
    assert load_variables(tmp_path / "a.npz", found, "identity") == state
    assert [variable.numpy().tolist() for variable in found] == [[1, 2], [[3]]]
    assert state.spent == 5.0


def test_two_checkpoints_are_written_in_turn_and_the_newer_one_is_read(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for steps, names in ((1, ["checkpoint"]), (2, ["checkpoint", "checkpoint-2"]), (3, ["checkpoint", "checkpoint-2"])):
        save(tmp_path, 10 * steps, steps)
        assert sorted(path.stem for path in tmp_path.iterdir()) == names
        assert value_of(tmp_path) == (10 * steps, steps)
    assert newest_checkpoint(tmp_path).stem == "checkpoint"


def test_a_broken_checkpoint_is_passed_over_and_replaced_first(tmp_path):
    for steps in (1, 2, 3):
        save(tmp_path, steps, steps)
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    assert value_of(tmp_path) == (2, 2)
    save(tmp_path, 4, 4)
    assert newest_checkpoint(tmp_path).stem == "checkpoint" and value_of(tmp_path) == (4, 4)


def test_a_checkpoint_of_no_batches_is_newer_than_a_broken_one(tmp_path):
    save(tmp_path, 5, 0)
    (tmp_path / "checkpoint-2.npz").write_bytes(b"")
    assert value_of(tmp_path) == (5, 0)


def test_what_cannot_be_resumed_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"checkpoint\.npz: no such checkpoint; train without --resume"):
        require_identity(tmp_path, "identity")
    save(tmp_path, 1, 1)
    require_identity(tmp_path, "identity")
    with pytest.raises(OtherRunError, match="belongs to a run with other settings or data"):
        require_identity(tmp_path, "another")
    with pytest.raises(DataError, match="holds other weights than this model has"):
        load_checkpoint(tmp_path, variables([0, 0, 0]), "identity")
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"checkpoint\.npz: not a whole checkpoint"):
        require_identity(tmp_path, "identity")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("a:b", "a:b", True), ("a:b", "a:c", False), ("a:b", "d:b", False), ("a", "a:b", True), ("a", "d:b", False)],
)
def test_a_run_is_the_same_with_the_same_settings_data_and_dev_split(one, other, same):
    assert is_same_run(one, other) == is_same_run(other, one) == same
