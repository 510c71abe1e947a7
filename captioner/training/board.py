"""Writes a run's scores for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from captioner.config import ConfigError
from captioner.run_folder import BOARD

OF_TRAINING = {"loss": "loss/training", "val_loss": "loss/dev", "learning_rate": "learning_rate", "seconds": "seconds"}


class Board:
    """Writes the rows of a run's history as scalars, with the epoch as the step.

    Args:
        folder: the folder of the event files; each process that works on the run writes one.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary import Writer

        self._writer = Writer(str(folder))

    def write(self, row: Mapping[str, float]) -> None:
        """Write an epoch's row, so that TensorBoard can show it at once."""
        for name, value in row.items():
            if name != "epoch":
                tag = OF_TRAINING.get(name, f"dev/{name.removeprefix('val_')}")
                self._writer.add_scalar(tag, value, int(row["epoch"]))
        self._writer.flush()


def open_board(setting: bool | str, run: Path) -> Board | None:
    """Return the board that `train.tensorboard` asks for; None if it is off.

    Args:
        setting: the folder, or True for a folder in the run folder.
        run: the run folder.
    """
    if not setting:
        return None
    return Board(run / BOARD if setting is True else Path(str(setting)))


def require_tensorboard(setting: bool | str) -> None:
    """Check, before training starts, that scalars can be written.

    Raises:
        ConfigError: tensorboard is not installed.
    """
    if not setting:
        return
    try:
        import tensorboard.summary  # noqa: F401
    except ImportError:
        raise ConfigError("train.tensorboard: needs tensorboard; pip install 'captioner[tensorboard]'") from None
