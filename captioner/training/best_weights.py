"""The file with the weights of a run's best epoch, which is right even if a run is killed between two files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from captioner.run_folder import BEST
from captioner.storage import DataError
from captioner.training.checkpoint import epoch_in, load_variables

FORMER = "best-before.npz"  # the best weights until a checkpoint says that there are better ones


class BestWeights:
    """The weights of the best epoch.

    The weights of a better epoch are written before the checkpoint that names it. If the run is killed between the two,
    it repeats that epoch, which may come out differently. So the former weights are kept until the checkpoint exists.

    Args:
        folder: the folder of the checkpoints.
        identity: digest of settings and data.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._file, self._former, self._identity = folder / BEST, folder / FORMER, identity

    def keep(self, write: Callable[[Path], None], best_epoch: int) -> None:
        """Let `write` write the file with the weights of a better epoch than `best_epoch`, 0 if that is the first.

        Raises:
            DataError: the former file cannot be renamed.
        """
        if best_epoch and epoch_in(self._file) == best_epoch:
            try:
                self._file.replace(self._former)
            except OSError as error:
                raise DataError(f"{self._file}: cannot be renamed ({error.strerror})") from error
        write(self._file)

    def settle(self, best_epoch: int) -> None:
        """Keep one file, after a checkpoint with this best epoch was written."""
        if self._former.is_file():
            with contextlib.suppress(OSError):  # `load` finds the right one of two files as well
                self._of(best_epoch).replace(self._file)
                self._former.unlink(missing_ok=True)

    def load(self, weights: Sequence[keras.Variable], best_epoch: int) -> None:
        """Put the weights of the best epoch into `weights`.

        Raises:
            DataError: they cannot be read.
        """
        load_variables(self._of(best_epoch), weights, self._identity)

    def _of(self, best_epoch: int) -> Path:
        is_former = epoch_in(self._former) == best_epoch and epoch_in(self._file) != best_epoch
        return self._former if is_former else self._file
