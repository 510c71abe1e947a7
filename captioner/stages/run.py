"""`run`: which stage is out of date, in order. The stages themselves live in their rooms."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.captioner import FILE_NAME, Captioner, load
from captioner.config import ConfigError, to_settings
from captioner.data.dataset import has_split, load_captions, require_split, split_digests
from captioner.data.readers.detect import digest_captions
from captioner.ensemble import Ensemble, JointFeatures
from captioner.features.store import FeatureStore, open_features
from captioner.metrics.scorer import DIVERSITY, Scores
from captioner.models.config import model_config
from captioner.recipe import Recipe, Source, load_recipe
from captioner.stages.clean import clean
from captioner.stages.evaluate import evaluate, require_same_encoder
from captioner.stages.extract import extract
from captioner.stages.results import SCORES, describe_scores, read_scores
from captioner.stages.score import EvaluationConfig, how, require_choice
from captioner.stages.train import state_of, train
from captioner.storage import DataError, digest_file, read_manifest

logger = logging.getLogger(__name__)

CONFIG = "config.yaml"


def run(recipe: Recipe, folder: Path) -> str:
    """Bring extraction, cleaning, training and evaluation up to date; return the scores on one line.

    Raises:
        ConfigError, DataError: as the stages do.
    """
    if recipe.data.images is None:
        raise ConfigError("data.images: missing; name the folder of pictures")
    require_split(recipe.data, recipe.evaluation.split, "evaluation.split")
    logger.info("== extract ==")
    extract(recipe.data.images, recipe.features, recipe.encoder, recipe.extraction)
    logger.info("== clean ==")
    _clean(recipe)
    logger.info("== train ==")
    _train(recipe, folder)
    logger.info("== evaluate ==")
    return _evaluate(recipe, folder)


def _clean(recipe: Recipe) -> None:
    data = recipe.data
    if data.descriptions is None:
        logger.info("training cleans the captions itself (the recipe names no data.descriptions)")
        return
    manifest = read_manifest(data.descriptions) if Path(data.descriptions).is_file() else None
    made_of = {"rules": recipe.text.rules, "source_digest": digest_captions(data.captions)}
    if manifest is not None and all(manifest.get(name) == value for name, value in made_of.items()):
        logger.info(f"{data.descriptions} is up to date")
        return
    clean(data.captions, data.descriptions, recipe.text.rules, data.format, data.images)


def _train(recipe: Recipe, folder: Path) -> None:
    if state_of(folder) == "finished":
        differing = _differences(recipe, folder)
        if not differing:
            logger.info(f"{folder} is up to date")
            return
        raise DataError(
            f"{folder}: was trained otherwise ({'; '.join(differing)}); give another folder with -o, "
            f"or captioner train --overwrite -o {folder}"
        )
    train(folder, recipe.training_sections(), to_settings(recipe), resume=True)


def _differences(recipe: Recipe, folder: Path) -> list[str]:
    """Return what the finished run in `folder` was trained with that the recipe now has otherwise."""
    trained, wanted = _expanded(read_run(folder)), _expanded(recipe)
    differing = []
    for section in ("data", "text", "model", "train", "generation"):
        old, new = trained[section], wanted[section]
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                differing.append(f"{section}.{key}: {old.get(key)} then, {new.get(key)} now")
    manifest = read_manifest(folder) or {}
    then = {
        "the features file": manifest.get("features", {}).get("digest"),
        "the captions file": manifest.get("captions", {}).get("digest"),
        **{f"the {name} list": digest for name, digest in manifest.get("splits", {}).items()},
    }
    now = {
        "the features file": open_features(recipe.features).digest,
        "the captions file": digest_captions(recipe.data.captions),
        **{f"the {name} list": digest for name, digest in split_digests(recipe.data).items()},
    }
    for name, old in then.items():
        new = now.get(name, "nothing")
        if old is not None and old != new:
            differing.append(f"the content of {name}: {old[:12]} then, {new[:12]} now")
    return differing


def _expanded(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's settings with the model's defaults written out, so that leaving one out is no difference."""
    name, config = model_config(recipe.model)
    return {**to_settings(recipe), "model": {"architecture": name, **to_settings(config)}}


def _evaluate(recipe: Recipe, folder: Path) -> str:
    scores_file = folder / SCORES
    manifest = read_manifest(scores_file) if scores_file.is_file() else None
    trained = (read_manifest(folder) or {}).get("captioner")
    current = {
        "metrics": list(recipe.evaluation.metrics),
        "generation": {},
        **how(recipe.evaluation),
        **_evaluation_inputs(recipe, recipe.evaluation.split),
    }
    if manifest is not None and manifest.get("captioner") == trained and current.items() <= manifest.items():
        logger.info(f"{scores_file} is up to date")
        return describe_scores(*read_scores(folder))
    scores = evaluate_run(folder, recipe, recipe.evaluation, folder, {})
    return describe_scores(scores.corpus, scores.intervals)


def _evaluation_inputs(recipe: Recipe, split: str) -> dict[str, str]:
    """Return what an evaluation's scores hang on beside the captioner and the features."""
    return {
        "split": split,
        "captions": digest_captions(recipe.data.captions),
        "pictures": split_digests(recipe.data).get(split, ""),
    }


def _show(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def read_run(folder: Path) -> Recipe:
    """Return the recipe that a run folder was trained with.

    Raises:
        DataError: the folder is not a run folder.
    """
    path = folder / CONFIG
    if not path.is_file() or not (folder / FILE_NAME).is_file():
        lacking = CONFIG if not path.is_file() else FILE_NAME
        raise DataError(
            f"{folder}: not a finished run folder, it has no {lacking}; captioner train -o {folder} makes one"
        )
    return load_recipe(Source(path))


def evaluate_run(
    folder: Path,
    recipe: Recipe,
    config: EvaluationConfig,
    output: Path,
    generation: Mapping[str, Any],
    others: Sequence[Path] = (),
) -> Scores:
    """Caption and score a split with the captioner of a run folder.

    Args:
        folder: the run folder.
        recipe: the run's, or one that names other files.
        config: split and metrics.
        output: where predictions.json, scores.json and per_image.csv go.
        generation: settings of GenerationConfig that differ from the captioner's defaults.
        others: run folders whose captioners, each on its own run's features, caption together with this one.

    Raises:
        ConfigError, DataError: as `captioner.stages.evaluate.evaluate` does.
    """
    require_choice(config)
    folders = [folder, *others]
    recipes = [recipe, *map(read_run, others)]
    members = [load(path) for path in folders]
    captioner = Ensemble(members, folders) if others else members[0]
    captioner.search(config.n, **generation)  # an impossible setting is said before any file is read
    novelty = DIVERSITY in config.metrics and has_split(recipe.data, "train")
    captions = load_captions(recipe.data, (config.split, "train") if novelty else (config.split,))
    stores = [_fitting(*member) for member in zip(members, folders, recipes, strict=True)]
    inputs = {
        "captioner": _one_or_all([digest_file(path / FILE_NAME) for path in folders]),
        "features": _one_or_all([store.digest for store in stores]),
        **_evaluation_inputs(recipe, config.split),
    }
    features: Any = JointFeatures(stores) if others else stores[0]
    return evaluate(captioner, captions, features, config, output, inputs=inputs, generation=generation)


def _fitting(captioner: Captioner, folder: Path, recipe: Recipe) -> FeatureStore:
    """Return a run's features. Raises DataError where its captioner was trained on others."""
    features = open_features(recipe.features)
    require_same_encoder(captioner, features)
    expected = tuple(captioner.decoder.feature_shape)
    if features.shape != expected:
        found = f"{_show(features.shape)} numbers a picture, {folder} was trained on {_show(expected)}"
        raise DataError(f"{features.path}: holds {found}; name the features that it was trained on")
    return features


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
