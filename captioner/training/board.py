"""A run's numbers for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from captioner.config import ConfigError
from captioner.run_folder import BOARD

OF_TRAINING = {"loss": "loss/training", "val_loss": "loss/dev", "learning_rate": "learning_rate", "seconds": "seconds"}


class Board:
    """Writes the rows of a run's history as scalars, the epoch being the step.

    Args:
        folder: where the event file goes, one for each process that works on the run.
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
    """Return what `train.tensorboard` asks for; None where it asks for nothing.

    Args:
        setting: the folder, or True for one in the run's.
        run: the run folder.
    """
    if not setting:
        return None
    return Board(run / BOARD if setting is True else Path(str(setting)))


def require_tensorboard(setting: bool | str) -> None:
    """Check, before the work, that scalars can be written.

    Raises:
        ConfigError: tensorboard is not installed.
    """
    if not setting:
        return
    try:
        import tensorboard.summary  # noqa: F401
    except ImportError:
        raise ConfigError("train.tensorboard: needs tensorboard; pip install 'captioner[tensorboard]'") from None
