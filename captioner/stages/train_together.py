"""One training run in several processes; the first process writes the run folder."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.dataset import Dataset
from captioner.data.parts import Part, PartBatches
from captioner.features.store import FeatureStore
from captioner.locks import hold
from captioner.memory import collector_passes_over
from captioner.recipe import Recipe
from captioner.run_folder import CHECKPOINTS, require_free, settle
from captioner.stages.train import announce, begin, build, dev_score, new_decoder, publish, resumes
from captioner.stages.training_inputs import TrainingInputs, prepare
from captioner.training.board import require_tensorboard
from captioner.training.checkpoint import TrainingState
from captioner.training.processes import alone, leave, peers_watched, together
from captioner.training.together import fit_together

logger = logging.getLogger(__name__)


def train_together(
    folder: Path,
    recipe: Recipe,
    part: Part,
    *,
    data: Dataset | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainingState:
    """Train a captioner as captioner.stages.train.train does, in all processes that have joined.

    Args:
        folder: the run folder, which only process 0 reads and writes.
        recipe: the settings of the run; the same in all processes.
        part: this process' part, from captioner.training.processes.join.
        data: the recipe's data set, if it has been read already.
        resume: continue an unfinished run.
        overwrite: replace the folder's content; a finished run is replaced only when the new one is complete.

    Raises:
        DataError: see captioner.stages.train.train; or another process has ended.
        ConfigError: a setting of the recipe needs a single process.
    """
    require_possible(recipe)
    if part.number:
        logging.getLogger("captioner").setLevel(logging.ERROR)  # process 0 logs everything
        return _train(folder, recipe, part, data or Dataset(recipe.data), resume, overwrite)
    with hold(folder):
        require_free(folder, resume, overwrite)
        return _train(folder, recipe, part, data or Dataset(recipe.data), resume, overwrite)


def require_possible(recipe: Recipe) -> None:
    """Refuse settings that several processes do not support.

    Raises:
        ConfigError: with the name of the setting.
    """
    train = recipe.train
    for name, found in (
        ("train.engine", train.engine == "numpy"),
        ("train.self_critical", train.self_critical is not None),
        ("train.views", bool(train.views)),
        ("train.augment", bool(train.augment)),
        ("data.source", recipe.data.source != "files"),
        ("encoder.trained_to", recipe.encoder.trained_to is not None),
    ):
        if found:
            raise ConfigError(f"{name}: not supported in several processes or on several devices; leave it out")
    require_tensorboard(train.tensorboard)


def _train(folder: Path, recipe: Recipe, part: Part, data: Dataset, resume: bool, overwrite: bool) -> TrainingState:
    started, leads = time.monotonic(), part.number == 0
    prepared = prepare(recipe, data)
    place, config = folder, recipe.train
    with peers_watched(part), collector_passes_over():  # the captions as numbers are millions of objects
        if leads:
            resume = resumes(folder, recipe, prepared, resume, overwrite)
        with together():
            decoder = new_decoder(recipe, prepared)
            if leads:
                place = begin(folder, recipe, prepared, resume, overwrite)
                announce(recipe, prepared, decoder)
                logger.info(_extent(part))
            with alone():
                copy = build(recipe, prepared, config.precision) if leads else None
                score = None
                if copy is not None:
                    score = dev_score(recipe, prepared, copy, prepared.features, pictures=config.score_pictures)
            state = fit_together(
                decoder,
                copy,
                _batches(recipe, prepared, part),
                score,
                config,
                place / CHECKPOINTS,
                identity=prepared.identity,
                resume=resume,
            )
        leave()
    if copy is not None:
        publish(recipe, prepared, copy, state, place, started)
        settle(folder)
        logger.info(f"{folder} is ready: captioner evaluate {folder}, captioner predict PICTURE --model {folder}")
    return state


def _extent(part: Part) -> str:
    """Return the number of processes and devices, as text."""
    devices = "1 device" if part.devices == 1 else f"{part.devices} devices"
    return f"on {devices}" if part.processes == 1 else f"in {part.processes} processes with {devices} each"


def _batches(recipe: Recipe, prepared: TrainingInputs, part: Part) -> PartBatches:
    if not isinstance(prepared.features, FeatureStore):
        raise ConfigError("data.source: shards are not supported in several processes; set it to files")
    config = recipe.train
    size = config.batch_size_for(len(prepared.training))
    return PartBatches(part, prepared.features, prepared.training, size, config.seed, config.least_steps)
