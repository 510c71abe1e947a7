"""A trained captioner into a folder for another runtime, or into the graph that makes predict start at once."""

from __future__ import annotations

import logging
from pathlib import Path

from captioner.captioner import load
from captioner.config import ConfigError
from captioner.export.fast import FOLDER, STEP, FastCaptioner
from captioner.export.fast_graph import can_write, write_fast_graph
from captioner.run_folder import CAPTIONER, require_finished
from captioner.storage import DataError

logger = logging.getLogger(__name__)


def write_run_graph(run: Path, precision: str = "float32") -> Path:
    """Write the graph of a run folder; return where it is.

    Raises:
        ConfigError: the extra is not installed, or Keras does not run on TensorFlow.
        DataError: the folder is no finished run, or its encoder cannot be had.
    """
    require_finished(run)
    return write_fast_graph(run, load(run), precision)


def add_fast_graph(run: Path) -> None:
    """Write the graph of a run that has just been trained where that can be done."""
    if not can_write() or _is_current(run):
        return
    try:
        write_run_graph(run)
    except (ConfigError, DataError) as error:
        logger.info(f"no graph for a fast predict: {error}")


def _is_current(run: Path) -> bool:
    if not (run / FOLDER / STEP).is_file():
        return False
    try:
        FastCaptioner(run / FOLDER, run / CAPTIONER)
    except DataError:
        return False
    return True
