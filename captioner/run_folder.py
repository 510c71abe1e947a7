"""What a run folder holds, by name, and the ways to find and read one. Needs no Keras."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Literal

from captioner.storage import DataError, manifest_path, read_manifest

logger = logging.getLogger(__name__)

RUNS = Path("runs")  # where runs go when no other folder is named

CONFIG = "config.yaml"  # the recipe that the run was trained with
VOCABULARY = "vocabulary.json"  # for people and other programs; the captioner holds its own
CAPTIONER = "captioner.keras"
HISTORY = "history.csv"  # a row per epoch
CHECKPOINTS = "checkpoints"
FAST = "fast"  # the graphs of a predict without Keras
CHECKPOINT, BEST = "checkpoint.npz", "best.npz"  # in that folder
IN_TURN = (CHECKPOINT, "checkpoint-2.npz")  # written in turn, so that the former one stays whole
PREDICTIONS, SCORES, PER_IMAGE = "predictions.json", "scores.json", "per_image.csv"  # of its evaluation
REPORT = "report.html"


def state_of(folder: Path) -> Literal["finished", "unfinished", "new"]:
    """Return how far the training in `folder` has come."""
    if read_manifest(folder) if folder.is_dir() else None:
        return "finished"
    return "unfinished" if any((folder / CHECKPOINTS / name).is_file() for name in IN_TURN) else "new"


def require_finished(folder: Path) -> None:
    """Refuse a folder that is not a finished run.

    Raises:
        DataError: naming the file that is missing.
    """
    for name in (CONFIG, CAPTIONER):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder}: not a finished run folder, it has no {name}; captioner train -o {folder} makes one"
            )


def require_free(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse to train into a folder where something would be lost.

    Raises:
        DataError: the folder holds a run, and neither `resume` nor `overwrite` allows to go on with it.
    """
    state = state_of(folder)
    if state == "finished" and not overwrite:
        raise DataError(f"{folder}: holds a finished run; give another folder, or --overwrite to train it again")
    if state == "unfinished" and not (resume or overwrite):
        raise DataError(f"{folder}: holds an unfinished run; --resume continues it, --overwrite starts again")


def clear(folder: Path) -> None:
    """Remove a run, the manifest first: without it nothing counts as finished."""
    for target in (manifest_path(folder), folder / CAPTIONER, folder / CHECKPOINTS, folder / FAST):
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def newest_run(folder: Path = RUNS) -> Path:
    """Return the newest finished run under `folder`, and log which it is.

    Raises:
        DataError: there is none.
    """
    runs = sorted(folder.glob(f"*/{CAPTIONER}"), key=lambda file: file.stat().st_mtime)
    if not runs:
        raise DataError(f"{folder}: no trained captioner there; captioner train makes one, or name a run folder")
    newest = runs[-1].parent
    logger.info(f"using {newest}, the newest run")
    return newest
