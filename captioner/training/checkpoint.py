"""What a run needs to go on as if it had never stopped: every variable and the trainer's own counts, in one file."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.run_folder import CHECKPOINT, IN_TURN
from captioner.storage import DataError, atomic_path

logger = logging.getLogger(__name__)

START_AGAIN = "captioner train --overwrite starts again"


class OtherRunError(DataError):
    """A checkpoint belongs to a run of another identity."""

    def __init__(self, path: Path) -> None:
        self.path, self.fault = path, "belongs to a run with other settings or data"
        super().__init__(f"{path}: {self.fault}; {START_AGAIN}")


@dataclass
class TrainingState:
    """How far a run has come.

    Attributes:
        epoch: epochs done.
        best_epoch: the epoch (from 1) with the best dev score, 0 before the first.
        best: that score, None before the first.
        waited: epochs since the best one, or since the learning rate was last halved, whichever is later.
        history: a row per epoch.
        step: batches done in the epoch that is being trained.
        loss: sum and weight of that epoch's losses so far; in self-critical training of its rewards.
        drawn: in self-critical training the samples of the next batch, as numbers: (pictures, samples, words).
        seconds: that it has taken so far.
        total_steps: batches done in all: of two checkpoints the one with more is the newer.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float | None = None
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    total_steps: int = 0
    drawn: list[list[list[int]]] = field(default_factory=list)

    @property
    def spent(self) -> float:
        """Seconds that the training has taken, in all processes that worked on it."""
        return sum(row["seconds"] for row in self.history) + self.seconds

    def begin_epoch(self) -> None:
        """Forget how far the epoch had come that is done."""
        self.step, self.loss, self.seconds, self.drawn = 0, [], 0.0, []


def save_variables(path: Path, variables: Sequence[keras.Variable], progress: TrainingState, identity: str) -> None:
    """Write variables and progress to one file, atomically.

    Args:
        path: ends in `.npz`.
        variables: in an order that is the same when they are read back.
        progress: the run's.
        identity: digest of what the run is made of, checked when it is read back.
    """
    arrays = {f"{index:04d}": ops.convert_to_numpy(variable) for index, variable in enumerate(variables)}
    header = json.dumps(
        {"identity": identity, "progress": asdict(progress), "paths": [variable.path for variable in variables]}
    )
    with atomic_path(path) as temporary:
        np.savez(temporary, header=np.array(header), **arrays)


def save_checkpoint(folder: Path, variables: Sequence[keras.Variable], progress: TrainingState, identity: str) -> None:
    """Write a checkpoint over the older one of the two in `folder`; see `save_variables`."""
    older = min(IN_TURN, key=lambda name: _steps_in(folder / name))
    save_variables(folder / older, variables, progress, identity)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in `folder`; where none is whole, one that is there; None without any."""
    there = [folder / name for name in IN_TURN if (folder / name).is_file()]
    return max(there, key=_steps_in, default=None)


def epoch_in(path: Path) -> int:
    """Return the epochs that had been done when a file was written; -1 if it is missing or broken."""
    return int(_progress_in(path).get("epoch", -1))


def _steps_in(path: Path) -> int:
    """Return the batches that had been done when a checkpoint was written; -1 if it is missing or broken."""
    found = _progress_in(path)
    return int(found.get("total_steps", 0)) if found else -1


def _progress_in(path: Path) -> dict[str, Any]:
    """Return the progress in a file's header; empty if it is missing or broken."""
    try:
        with path.open("rb") as file, np.load(file) as content:
            found: dict[str, Any] = json.loads(str(content["header"]))["progress"]
            return found
    except Exception:  # a broken archive raises nearly anything
        return {}


def require_identity(folder: Path, identity: str) -> None:
    """Refuse to resume the run of another identity.

    Raises:
        DataError: there is no checkpoint, it is broken, or belongs to a run with other settings or data.
    """
    read_variables(newest_checkpoint(folder) or folder / CHECKPOINT, identity)


def load_checkpoint(folder: Path, variables: Sequence[keras.Variable], identity: str) -> TrainingState:
    """Put the newest checkpoint's values into `variables` and return its progress. See `load_variables`."""
    return load_variables(newest_checkpoint(folder) or folder / CHECKPOINT, variables, identity)


def log_resumed(progress: TrainingState, epochs: int, steps: int) -> None:
    """Log where a run continues, which trains `epochs` epochs of `steps` batches."""
    within = f" and batch {progress.step} of {steps}" if progress.step else ""
    logger.info(f"continuing after epoch {progress.epoch} of {epochs}{within}")


def is_same_run(one: str, other: str) -> bool:
    """Return whether two identities are those of one run; checkpoints of older versions have no digest of dev."""
    (run, _, dev), (other_run, _, other_dev) = one.partition(":"), other.partition(":")
    return run == other_run and (dev == other_dev or not dev or not other_dev)


def read_variables(path: Path, identity: str) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return the header and the arrays of a file that `save_variables` wrote.

    Raises:
        DataError: the file is missing, broken, or belongs to a run with other settings or data.
    """
    try:
        with path.open("rb") as file, np.load(file) as content:
            header: dict[str, Any] = json.loads(str(content["header"]))
            arrays = [content[f"{index:04d}"] for index in range(len(header["paths"]))]
    except FileNotFoundError:
        raise DataError(f"{path}: no such checkpoint; train without --resume") from None
    except Exception as error:  # a broken archive raises nearly anything
        raise DataError(f"{path}: not a whole checkpoint ({error}); {START_AGAIN}") from error
    if not is_same_run(header["identity"], identity):
        raise OtherRunError(path)
    return header, arrays


def load_variables(path: Path, variables: Sequence[keras.Variable], identity: str) -> TrainingState:
    """Put a file's values into `variables` and return its progress.

    Raises:
        DataError: the file is missing, broken, or belongs to a run with other settings or data.
    """
    header, arrays = read_variables(path, identity)
    shapes = [variable.shape for variable in variables]
    if [tuple(array.shape) for array in arrays] != [tuple(shape) for shape in shapes]:
        raise DataError(f"{path}: holds other weights than this model has; {START_AGAIN}")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return TrainingState(**header["progress"])
