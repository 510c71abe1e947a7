"""What a run folder holds, by name, and the ways to find and read one. Needs no Keras."""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path
from typing import Literal

from captioner.storage import DataError, read_manifest

logger = logging.getLogger(__name__)

RUNS = Path("runs")  # where runs go when no other folder is named

MANIFEST = "manifest.json"  # last: it says that the run is finished
CONFIG = "config.yaml"  # the recipe that the run was trained with
VOCABULARY = "vocabulary.json"  # for people and other programs; the captioner holds its own
CAPTIONER = "captioner.keras"
HISTORY = "history.csv"  # a row per epoch
BOARD = "tensorboard"  # what TensorBoard shows, where train.tensorboard is true
CHECKPOINTS = "checkpoints"
FAST = "fast"  # the graphs of a predict without Keras
CHECKPOINT, BEST = "checkpoint.npz", "best.npz"  # in that folder
IN_TURN = (CHECKPOINT, "checkpoint-2.npz")  # written in turn, so that the former one stays whole
EVALUATIONS = "evaluations"  # a folder for each evaluation, by split and name
PREDICTIONS, SCORES, PER_IMAGE = "predictions.json", "scores.json", "per_image.csv"  # in such a folder
REPORT = "report.html"
NEXT = ".next"  # a run folder in the run folder: what --overwrite trains, until it is complete


def state_of(folder: Path) -> Literal["finished", "unfinished", "new"]:
    """Return how far the training in `folder` has come."""
    settle(folder)
    if read_manifest(folder) if folder.is_dir() else None:
        return "finished"
    return "unfinished" if any((folder / CHECKPOINTS / name).is_file() for name in IN_TURN) else "new"


def require_finished(folder: Path) -> None:
    """Refuse a folder that is not a finished run.

    Raises:
        DataError: naming the file that is missing, and what makes it.
    """
    settle(folder)
    for name in (CONFIG, CAPTIONER):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: not a finished run folder, it has no {name}; {_way_out(folder)}")


def captioner_file(path: Path) -> Path:
    """Return the file of the captioner that `path`, a run folder or a file, means.

    Raises:
        DataError: there is none.
    """
    if str(path).startswith("hub:"):
        raise DataError(f"{path}: a model of KerasHub; this takes a captioner that was trained here, name a run folder")
    if path.is_dir():
        if not (path / CAPTIONER).is_file():
            raise DataError(f"{path}: is not a run folder: it has no {CAPTIONER}; {_way_out(path)}")
        return path / CAPTIONER
    if not path.exists():
        raise DataError(f"{path}: no such file; name a run folder that captioner train made, or its {CAPTIONER}")
    return path


def _way_out(folder: Path) -> str:
    """Return what to do about a folder without a captioner."""
    if state_of(folder) == "unfinished":
        return f"its training is unfinished, captioner train --resume -o {folder} continues it"
    if folder.is_dir() and any(folder.iterdir()):
        return "name a folder that captioner train made"
    return f"captioner train -o {folder} makes one"


def require_free(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse to train into a folder where something would be lost.

    Raises:
        DataError: the folder holds a run, and neither `resume` nor `overwrite` allows to go on with it.
    """
    state = state_of(folder)
    if state == "finished" and resume:
        return  # it may get more epochs, or --overwrite was stopped; it stays until the new one is complete
    if state == "finished" and not overwrite:
        raise DataError(f"{folder}: holds a finished run; give another folder, or --overwrite to train it again")
    if state == "unfinished" and not (resume or overwrite):
        raise DataError(f"{folder}: holds an unfinished run; --resume continues it, --overwrite starts again")


def clear(folder: Path) -> None:
    """Remove a run, the manifest first: without it nothing counts as finished."""
    for target in (folder / MANIFEST, folder / CAPTIONER, folder / CHECKPOINTS, folder / FAST, folder / BOARD):
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def evaluation_folder(run: Path, name: str) -> Path:
    """Return where the results of an evaluation go that is called `name`, after its split."""
    return run / EVALUATIONS / name


def evaluations(run: Path) -> list[Path]:
    """Return the folders with the results of a run's evaluations, newest first; the run's own where it holds some."""
    files = [*run.glob(SCORES), *(run / EVALUATIONS).glob(f"*/{SCORES}")]
    return [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)]


def results_of(folder: Path) -> Path:
    """Return the folder with results that `folder` means: itself, or a run's newest evaluation, which is logged.

    Raises:
        DataError: it holds none.
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
    """Return where a training writes: `folder`, or a place in it as long as it holds a finished run to be replaced.

    `overwrite` removes the files of an unfinished run here; `resume` keeps them.
    """
    if state_of(folder) != "finished":
        if overwrite:
            clear(folder)
        return folder
    if not resume:
        shutil.rmtree(folder / NEXT, ignore_errors=True)
    return folder / NEXT


def settle(folder: Path) -> None:
    """Put a complete new run in the place of the old one, whose evaluation goes; finish it where this was stopped.

    The new manifest is moved last: until then the folder holds no finished run, and the next look at it comes here.
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
        with contextlib.suppress(FileNotFoundError):  # moved by another process just now
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
        raise DataError(f"{folder}: no trained captioner there; captioner train makes one, or name a run folder")
    newest = runs[-1].parent
    logger.info(f"using {newest}, the newest run")
    return newest
