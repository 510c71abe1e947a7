"""What `--resume` may continue: an interrupted run, or a finished one that is to have more epochs."""

from __future__ import annotations

import filecmp
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.config import load_yaml, to_settings
from captioner.recipe import Recipe
from captioner.report.history import read_history
from captioner.run_folder import CHECKPOINTS, CONFIG, IN_TURN, NEXT, state_of
from captioner.storage import DataError
from captioner.training.best_epoch import Ranking
from captioner.training.config import TrainConfig

logger = logging.getLogger(__name__)

# settings that a run may continue with
_OF_ITS_END = ("epochs", "patience", "max_minutes", "checkpoint_minutes", "checkpoint_steps", "tensorboard")
FREE = frozenset(f"train.{name}" for name in _OF_ITS_END)
_NOT_OF_TRAINING = ("evaluation", "extraction", "data", "features")  # of which digests tell what matters
SHOWN = 5


def is_complete(folder: Path, recipe: Recipe) -> bool:
    """Return whether `--resume` has nothing to do, and log why: the run is finished, and a limit still holds.

    Raises:
        DataError: it is finished with other settings.
    """
    if not adds_epochs(folder):
        return False
    if different := differences(folder, recipe):
        raise DataError(f"{folder}: is a finished run with other settings: {different}; --overwrite trains it again")
    reason = _limit(folder, recipe.train)
    if reason is None:
        return False
    logger.info(f"{folder}: {reason}")
    return True


def adds_epochs(folder: Path) -> bool:
    """Return whether what `--resume` would continue is a finished run, and not one that is to take its place.

    A copy of its checkpoints with which no training has begun counts as nothing.
    """
    return state_of(folder) == "finished" and (state_of(folder / NEXT) != "unfinished" or _only_copied(folder))


def _only_copied(folder: Path) -> bool:
    """Tell whether the checkpoints of the run that is to take this one's place are this one's still."""
    names = [name for name in IN_TURN if (folder / NEXT / CHECKPOINTS / name).is_file()]
    pairs = [(folder / NEXT / CHECKPOINTS / name, folder / CHECKPOINTS / name) for name in names]
    return all(own.is_file() and filecmp.cmp(other, own) for other, own in pairs)


def _limit(folder: Path, config: TrainConfig) -> str | None:
    """Return which of a recipe's limits a finished run has reached, and what to raise; None where it can go on."""
    history, best_epoch = read_history(folder)
    done = len(history)
    if not (folder / CHECKPOINTS).is_dir() or not done:  # an average has no training of its own that could go on
        done = _train_settings(folder).get("epochs", 0)
        history = []
    if config.epochs <= done:
        return f"is finished with {done} epochs; --resume --set train.epochs=N with more adds some"
    stopped = f"stopped after epoch {done} of {config.epochs}, and"
    ranking = Ranking(config.monitor, config.best_by == "neighbours")
    if config.patience is not None and ranking.waited(history, best_epoch or 0) >= config.patience:
        more = "--resume --set train.patience=N with more goes on"
        return f"{stopped} {config.monitor} has not risen for train.patience={config.patience} epochs; {more}"
    minutes = config.max_minutes
    if minutes is not None and sum(row["seconds"] for row in history) >= 60 * minutes:
        return f"{stopped} train.max_minutes={minutes:g} are up; --resume --set train.max_minutes=N with more goes on"
    return None


def require_checkpoints(folder: Path) -> None:
    """Refuse to add epochs to a finished run without checkpoints. Raises DataError."""
    if not (folder / CHECKPOINTS).is_dir():
        raise DataError(f"{folder}: its checkpoints are gone, so no epochs can be added; --overwrite trains it again")


def add_epochs(folder: Path) -> None:
    """Let a finished run be continued: its checkpoints become those of a run that takes its place when complete.

    Raises:
        DataError: it has no checkpoints, or they cannot be copied.
    """
    require_checkpoints(folder)
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
