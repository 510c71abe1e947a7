"""What `--resume` may continue: an interrupted run, or a finished one that is to have more epochs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.config import load_yaml, to_settings
from captioner.recipe import Recipe
from captioner.run_folder import CHECKPOINTS, CONFIG, NEXT, state_of
from captioner.storage import DataError

logger = logging.getLogger(__name__)

# settings that a run may continue with
_OF_ITS_END = ("epochs", "patience", "max_minutes", "checkpoint_minutes", "checkpoint_steps", "tensorboard")
FREE = frozenset(f"train.{name}" for name in _OF_ITS_END)
_NOT_OF_TRAINING = ("evaluation", "extraction", "data", "features")  # of which digests tell what matters
SHOWN = 5


def is_complete(folder: Path, recipe: Recipe) -> bool:
    """Return whether `--resume` has nothing to do, and log that: the run is finished and no epochs are added.

    Raises:
        DataError: it is finished with other settings.
    """
    if state_of(folder) != "finished" or state_of(folder / NEXT) == "unfinished":
        return False
    if different := differences(folder, recipe):
        raise DataError(f"{folder}: is a finished run with other settings: {different}; --overwrite trains it again")
    trained = _train_settings(folder).get("epochs", 0)
    if recipe.train.epochs > trained:
        return False
    logger.info(f"{folder}: is finished with {trained} epochs; --resume --set train.epochs=N with more adds some")
    return True


def add_epochs(folder: Path) -> None:
    """Let a finished run be continued: its checkpoints become those of a run that takes its place when complete.

    Raises:
        DataError: it has no checkpoints, or they cannot be copied.
    """
    if not (folder / CHECKPOINTS).is_dir():
        raise DataError(f"{folder}: its checkpoints are gone, so no epochs can be added; --overwrite trains it again")
    try:
        shutil.rmtree(folder / NEXT, ignore_errors=True)
        (folder / NEXT).mkdir()
        shutil.copyfile(folder / CONFIG, folder / NEXT / CONFIG)
        shutil.copytree(folder / CHECKPOINTS, folder / NEXT / CHECKPOINTS)
    except OSError as error:
        shutil.rmtree(folder / NEXT, ignore_errors=True)
        reason = error.strerror or "the disk may be full"
        raise DataError(f"{folder / NEXT}: the checkpoints cannot be copied there ({reason})") from error


def differences(folder: Path, recipe: Recipe) -> str:
    """Return the settings in which a recipe differs from the one that a run was begun with, with both values."""
    if not (folder / CONFIG).is_file():
        return ""
    there, here = (dict(_flat(settings)) for settings in (load_yaml(folder / CONFIG), to_settings(recipe)))
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    names = [name for name in names if name not in FREE and name.partition(".")[0] not in _NOT_OF_TRAINING]
    shown = [f"{name} is {here.get(name)!r}, was {there.get(name)!r}" for name in names[:SHOWN]]
    return ", ".join(shown) + (", ..." if len(names) > SHOWN else "")


def _train_settings(folder: Path) -> Mapping[str, Any]:
    settings = load_yaml(folder / CONFIG).get("train")
    return settings if isinstance(settings, dict) else {}


def _flat(settings: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value
