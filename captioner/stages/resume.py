"""Check what `--resume` can continue: an interrupted run, or a finished run that gets more epochs."""

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
from captioner.run_folder import BOARD, CHECKPOINTS, CONFIG, IN_TURN, NEXT, state_of
from captioner.storage import DataError
from captioner.training.best_epoch import Ranking
from captioner.training.config import TrainConfig

logger = logging.getLogger(__name__)

# settings that may change when a run continues
_OF_ITS_END = ("epochs", "patience", "max_minutes", "checkpoint_minutes", "checkpoint_steps", "tensorboard")
FREE = frozenset(f"train.{name}" for name in _OF_ITS_END)
_NOT_OF_TRAINING = ("evaluation", "extraction", "data", "features")  # compared by digests where they matter
SHOWN = 5


def is_complete(folder: Path, recipe: Recipe) -> bool:
    """Return whether `--resume` has nothing to do, because the run is finished and has reached a limit; log why.

    Raises:
        DataError: the run is finished with other settings.
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
    """Return whether `--resume` would add epochs to a finished run, rather than continue an unfinished replacement.

    A replacement with unchanged copies of the run's checkpoints does not count, because its training has not begun.
    """
    return state_of(folder) == "finished" and (state_of(folder / NEXT) != "unfinished" or _only_copied(folder))


def _only_copied(folder: Path) -> bool:
    """Tell whether the checkpoints of the replacement run are still unchanged copies of this run's."""
    names = [name for name in IN_TURN if (folder / NEXT / CHECKPOINTS / name).is_file()]
    pairs = [(folder / NEXT / CHECKPOINTS / name, folder / CHECKPOINTS / name) for name in names]
    return all(own.is_file() and filecmp.cmp(other, own) for other, own in pairs)


def _limit(folder: Path, config: TrainConfig) -> str | None:
    """Return the limit that a finished run has reached and the setting to raise, or None if it can continue."""
    history, best_epoch = read_history(folder)
    done = len(history)
    if not (folder / CHECKPOINTS).is_dir() or not done:  # an average has no training that could continue
        done = _train_settings(folder).get("epochs", 0)
        history = []
    if config.epochs <= done:
        return f"is finished with {done} epochs; use --resume --set train.epochs=N with a larger N to add epochs"
    stopped = f"stopped after epoch {done} of {config.epochs}:"
    ranking = Ranking(config.monitor, config.best_by == "neighbours")
    if config.patience is not None and ranking.waited(history, best_epoch or 0) >= config.patience:
        more = "use --resume --set train.patience=N with a larger N to continue"
        return f"{stopped} {config.monitor} has not risen for train.patience={config.patience} epochs; {more}"
    minutes = config.max_minutes
    if minutes is not None and sum(row["seconds"] for row in history) >= 60 * minutes:
        more = "use --resume --set train.max_minutes=N with a larger N to continue"
        return f"{stopped} train.max_minutes={minutes:g} are over; {more}"
    return None


def require_checkpoints(folder: Path) -> None:
    """Refuse to add epochs to a finished run without checkpoints. Raises DataError."""
    if not (folder / CHECKPOINTS).is_dir():
        raise DataError(f"{folder}: has no checkpoints, so no epochs can be added; --overwrite trains it again")


def add_epochs(folder: Path) -> None:
    """Copy a finished run's checkpoints into a new run, which replaces the finished one when it is complete.

    Raises:
        DataError: the run has no checkpoints, or they cannot be copied.
    """
    require_checkpoints(folder)
    try:
        shutil.rmtree(folder / NEXT, ignore_errors=True)
        (folder / NEXT).mkdir()
        shutil.copyfile(folder / CONFIG, folder / NEXT / CONFIG)
        shutil.copytree(folder / CHECKPOINTS, folder / NEXT / CHECKPOINTS)
        if (folder / BOARD).is_dir():  # the curves go on
            shutil.copytree(folder / BOARD, folder / NEXT / BOARD)
    except OSError as error:
        shutil.rmtree(folder / NEXT, ignore_errors=True)
        reason = error.strerror or "the disk may be full"
        raise DataError(f"{folder / NEXT}: the checkpoints cannot be copied there ({reason})") from error


def differences(folder: Path, recipe: Recipe) -> str:
    """Return the settings that differ between a recipe and the recipe of a run, with both values."""
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
