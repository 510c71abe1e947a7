"""Files with the weights after each of the newest epochs, so that a killed run can continue to average them."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from captioner.storage import DataError, atomic_path
from captioner.training.checkpoint import TrainingState, read_variables, save_variables

logger = logging.getLogger(__name__)

SPARE = 2  # additional files: a run may continue from a checkpoint that is older than the newest epoch


class RecentWeights:
    """A decoder's weights by epoch.

    Args:
        folder: the folder of the checkpoints.
        name: prefix of the files' names.
        count: the number of newest epochs that are needed.
        identity: digest of settings and data.
    """

    def __init__(self, folder: Path, name: str, count: int, identity: str) -> None:
        self.folder, self.name, self.count, self.identity = folder, name, count, identity

    def keep(self, weights: Sequence[keras.Variable], progress: TrainingState) -> None:
        """Keep the weights of `progress.epoch`, and delete those of epochs that are no longer needed.

        If the disk is full, log it; the epoch is then left out of means of several epochs.
        """
        by_epoch = self._by_epoch()
        for epoch in [epoch for epoch in by_epoch if epoch > progress.epoch]:  # of a killed run that got further
            by_epoch.pop(epoch).unlink(missing_ok=True)
        for epoch in sorted(by_epoch)[: -(self.count + SPARE)]:
            by_epoch[epoch].unlink(missing_ok=True)
        try:
            save_variables(self._path(progress.epoch), weights, progress, self.identity)
        except DataError as error:
            logger.warning(f"epoch {progress.epoch} is left out of the mean of epochs; training continues: {error}")

    def mean(self, epoch: int) -> list[np.ndarray] | None:
        """Return the mean weights of the newest `count` epochs up to `epoch`; None if none of their files exists."""
        names = range(max(1, epoch - self.count + 1), epoch + 1)
        found = [self._read(path) for path in map(self._path, names) if path.is_file()]
        if not found:
            return None
        return [np.mean(same, axis=0, dtype="float64").astype(same[0].dtype) for same in zip(*found, strict=True)]

    def copy(self, epoch: int, path: Path) -> None:
        """Copy an epoch's weights to `path`.

        Raises:
            DataError: they do not exist, or cannot be written.
        """
        source = self._path(epoch)
        if not source.is_file():
            raise DataError(f"{source}: no such file; the disk was full when it should have been written")
        with atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"{self.name}-{epoch:04d}.npz"

    def _by_epoch(self) -> dict[int, Path]:
        pattern = re.compile(rf"{self.name}-(\d+)\.npz")
        found = {pattern.fullmatch(path.name): path for path in self.folder.glob(f"{self.name}-*.npz")}
        return {int(match[1]): path for match, path in found.items() if match}

    def _read(self, path: Path) -> list[np.ndarray]:
        return read_variables(path, self.identity)[1]
