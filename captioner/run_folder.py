"""The files of a run folder, and functions to find and check run folders. Needs no Keras."""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path
from typing import Literal

from captioner.storage import DataError, read_manifest

logger = logging.getLogger(__name__)

RUNS = Path("runs")  # default folder of runs

MANIFEST = "manifest.json"  # written last: the run is finished
CONFIG = "config.yaml"  # the recipe that the run was trained with
VOCABULARY = "vocabulary.json"  # for people and other programs; the captioner contains its own copy
CAPTIONER = "captioner.keras"
HISTORY = "history.csv"  # a row per epoch
BOARD = "tensorboard"  # TensorBoard's files, if train.tensorboard is true
CHECKPOINTS = "checkpoints"
FAST = "fast"  # the graphs for predict without Keras
CHECKPOINT, BEST = "checkpoint.npz", "best.npz"  # in that folder
IN_TURN = (CHECKPOINT, "checkpoint-2.npz")  # written alternately, so that the previous one stays intact
EVALUATIONS = "evaluations"  # a folder for each evaluation, by split and name
PREDICTIONS, SCORES, PER_IMAGE = "predictions.json", "scores.json", "per_image.csv"  # in such a folder
REPORT = "report.html"
NEXT = ".next"  # a run folder in the run folder, where --overwrite trains until the new run is complete


def state_of(folder: Path) -> Literal["finished", "unfinished", "new"]:
    """Return the state of the training in `folder`."""
    settle(folder)
    if read_manifest(folder) if folder.is_dir() else None:
        return "finished"
    return "unfinished" if any((folder / CHECKPOINTS / name).is_file() for name in IN_TURN) else "new"


def require_finished(folder: Path) -> None:
    """Refuse a folder that is not a finished run.

    Raises:
        DataError: with the missing file and what to do.
    """
    settle(folder)
    for name in (CONFIG, CAPTIONER):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: is not a finished run folder, it has no {name}; {_way_out(folder)}")


def captioner_file(path: Path) -> Path:
    """Return the captioner's file for `path`, a run folder or a file.

    Raises:
        DataError: there is no captioner.
    """
    if str(path).startswith("hub:"):
        raise DataError(f"{path}: KerasHub models are not supported here; name a run folder of captioner train")
    if path.is_dir():
        if not (path / CAPTIONER).is_file():
            raise DataError(f"{path}: is not a run folder, it has no {CAPTIONER}; {_way_out(path)}")
        return path / CAPTIONER
    if not path.exists():
        raise DataError(f"{path}: no such file; name a run folder of captioner train, or its {CAPTIONER}")
    return path


def _way_out(folder: Path) -> str:
    """Return what to do about a folder without a captioner."""
    if state_of(folder) == "unfinished":
        return f"its training is unfinished, captioner train --resume -o {folder} continues it"
    if folder.is_dir() and any(folder.iterdir()):
        return "name a run folder of captioner train"
    return f"captioner train -o {folder} makes one"


def require_free(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse to train into a folder if an existing run would be lost.

    Raises:
        DataError: the folder contains a run, and neither `resume` nor `overwrite` allows to continue or replace it.
    """
    state = state_of(folder)
    if state == "finished" and resume:
        return  # to add epochs, or to continue a stopped --overwrite; the old run stays until the new one is complete
    if state == "finished" and not overwrite:
        raise DataError(f"{folder}: contains a finished run; give another folder, or --overwrite to train it again")
    if state == "unfinished" and not (resume or overwrite):
        raise DataError(f"{folder}: contains an unfinished run; --resume continues it, --overwrite starts again")


def clear(folder: Path) -> None:
    """Remove a run; the manifest goes first, because without it the run does not count as finished."""
    for target in (folder / MANIFEST, folder / CAPTIONER, folder / CHECKPOINTS, folder / FAST, folder / BOARD):
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def evaluation_folder(run: Path, name: str) -> Path:
    """Return the folder for the results of the evaluation `name`, by default named after its split."""
    return run / EVALUATIONS / name


def evaluations(run: Path) -> list[Path]:
    """Return the folders with the results of a run's evaluations, newest first; the run folder itself can be one."""
    files = [*run.glob(SCORES), *(run / EVALUATIONS).glob(f"*/{SCORES}")]
    return [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)]


def results_of(folder: Path) -> Path:
    """Return the results folder for `folder`: itself, or a run's newest evaluation, which is logged.

    Raises:
        DataError: there are no results.
    """
    if (folder / SCORES).is_file() or (folder / PREDICTIONS).is_file():
        return folder
    found = evaluations(folder)
    if not found:
        raise DataError(f"{folder}: has no {SCORES}; captioner evaluate {folder} makes it")
    if len(found) > 1:
        logger.info(f"using {found[0]}, the newest of {len(found)} evaluations")
    return found[0]


def workplace(folder: Path, resume: bool, overwrite: bool) -> Path:
    """Return the folder that training writes to: `folder`, or a subfolder if `folder` contains a finished run.

    `overwrite` removes the files of an unfinished run; `resume` keeps them.
    """
    if state_of(folder) != "finished":
        if overwrite:
            clear(folder)
        return folder
    if not resume:
        shutil.rmtree(folder / NEXT, ignore_errors=True)
    return folder / NEXT


def settle(folder: Path) -> None:
    """Replace the old run and its evaluations by a complete new run, or finish an interrupted replacement.

    The new manifest is moved last. Until then the folder contains no finished run, and the next check of its state
    continues the replacement.
    """
    new = folder / NEXT
    if not (new / MANIFEST).is_file():
        return
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in (PREDICTIONS, SCORES, f"{SCORES}.manifest.json", PER_IMAGE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / EVALUATIONS, ignore_errors=True)
    for path in sorted(new.iterdir(), key=lambda path: path.name == MANIFEST):
        target = folder / path.name
        with contextlib.suppress(FileNotFoundError):  # another process has just moved it
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
    with contextlib.suppress(OSError):
        new.rmdir()


def newest_run(folder: Path = RUNS) -> Path:
    """Return the newest finished run under `folder`, and log which it is.

    Raises:
        DataError: there is none.
    """
    runs = sorted(folder.glob(f"*/{CAPTIONER}"), key=lambda file: file.stat().st_mtime)
    if not runs:
        raise DataError(
            f"{folder}: contains no trained captioner; train one with captioner train, or name a run folder"
        )
    newest = runs[-1].parent
    logger.info(f"using {newest}, the newest run")
    return newest
