import sys

import pytest

from captioner.config import ConfigError
from captioner.training.board import open_board, require_tensorboard

ROWS = [
    {"epoch": 1, "loss": 3.0, "val_loss": 3.5, "val_perplexity": 33.1, "cider_d": 0.5, "learning_rate": 0.001},
    {"epoch": 2, "loss": 2.0, "val_loss": 2.5, "val_perplexity": 12.2, "learning_rate": 0.0005},
]


def scalars(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    found = {}
    for tag in events.Tags()["tensors"]:
        found[tag] = [(event.step, float(event.tensor_proto.float_val[0])) for event in events.Tensors(tag)]
    return found


def test_every_number_of_a_row_is_a_scalar_of_its_epoch(tmp_path):
    board = open_board(True, tmp_path)
    for row in ROWS:
        board.write(row)
    found = scalars(tmp_path / "tensorboard")
    assert found.keys() == {"loss/training", "loss/dev", "dev/perplexity", "dev/cider_d", "learning_rate"}
    assert found["loss/dev"] == [(1, 3.5), (2, 2.5)]
    assert found["dev/cider_d"] == [(1, 0.5)]


def test_a_folder_can_be_named(tmp_path):
    open_board(str(tmp_path / "board"), tmp_path / "run").write(ROWS[0])
    assert not (tmp_path / "run").exists() and scalars(tmp_path / "board")["loss/training"] == [(1, 3.0)]


def test_nothing_is_written_unasked(tmp_path):
    assert open_board(False, tmp_path) is None
    require_tensorboard(False)


def test_without_tensorboard_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(ConfigError, match=r"^train\.tensorboard: needs tensorboard; pip install 'captioner\[tens"):
        require_tensorboard(True)
