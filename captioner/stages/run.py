"""Run all stages that are missing or out of date, in order. Each stage decides itself whether it is up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.dataset import Dataset
from captioner.encoders.layers import require_layers
from captioner.recipe import Recipe
from captioner.results import describe_scores, read_scores
from captioner.run_folder import SCORES, evaluation_folder, state_of
from captioner.stages import clean
from captioner.stages.freshness import is_evaluated, is_extracted, training_differences
from captioner.storage import DataError

logger = logging.getLogger(__name__)


def run(
    recipe: Recipe,
    folder: Path,
    load_keras: Callable[[], None] = lambda: None,
    train_elsewhere: Callable[[], None] | None = None,
) -> str:
    """Bring extraction, cleaning, training and evaluation up to date; return the scores on one line.

    Args:
        recipe: the settings of the run.
        folder: the run folder.
        load_keras: called before the first stage that has something to do; an up-to-date run does not load Keras.
        train_elsewhere: trains in other processes instead of in this one.

    Raises:
        ConfigError, DataError: as the stages do.
    """
    if recipe.data.images is None and recipe.data.source == "files":
        raise ConfigError("data.images: missing; name the folder of pictures")
    data = Dataset(recipe.data)
    data.require_split(recipe.evaluation.split, "evaluation.split")
    logger.info("== extract ==")
    if recipe.data.source == "tfrecord" or recipe.data.images is None:
        logger.info(f"using the features in the shards of {recipe.features}")
    else:
        _extract(recipe, recipe.data.images, load_keras)
    logger.info("== clean ==")
    _clean(recipe, data)
    logger.info("== train ==")
    _train(recipe, folder, data, load_keras, train_elsewhere)
    logger.info("== evaluate ==")
    return _evaluate(recipe, folder, data, load_keras)


def _extract(recipe: Recipe, images: str, load_keras: Callable[[], None]) -> None:
    require_layers(recipe.encoder.backbone, (recipe.encoder.layer,))
    if is_extracted(images, recipe.features, recipe.encoder, recipe.extraction):
        return
    load_keras()
    from captioner.stages.extract import extract

    extract(images, recipe.features, recipe.encoder, recipe.extraction)


def _clean(recipe: Recipe, data: Dataset) -> None:
    config, rules = recipe.data, recipe.text.rules
    if config.descriptions is None:
        logger.info("skipped: the recipe names no data.descriptions, so training cleans the captions")
    elif not clean.is_cleaned(config.descriptions, rules, data, config.images):
        clean.clean(config.captions, config.descriptions, rules, config.format, config.images, data)


def _train(
    recipe: Recipe,
    folder: Path,
    data: Dataset,
    load_keras: Callable[[], None],
    train_elsewhere: Callable[[], None] | None,
) -> None:
    if state_of(folder) != "finished":
        if train_elsewhere is not None:
            train_elsewhere()
            return
        load_keras()
        from captioner.stages.export import add_fast_graph
        from captioner.stages.train import train

        train(folder, recipe, data=data, resume=True)
        add_fast_graph(folder)
    elif found := training_differences(folder, recipe, data):
        raise DataError(
            f"{folder}: was trained with other settings or data ({'; '.join(found)}); give another folder with -o, "
            f"or run captioner train --overwrite -o {folder}"
        )
    else:
        logger.info(f"{folder} is up to date")


def _evaluate(recipe: Recipe, folder: Path, data: Dataset, load_keras: Callable[[], None]) -> str:
    output = evaluation_folder(folder, recipe.evaluation.split)
    if is_evaluated(folder, output, recipe, data):
        logger.info(f"{output / SCORES} is up to date")
        return describe_scores(*read_scores(output))
    load_keras()
    from captioner.stages.evaluate import evaluate_run

    scores = evaluate_run(folder, recipe, output, {}, data=data)
    return describe_scores(scores.corpus, scores.intervals)
