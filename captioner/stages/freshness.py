"""Check whether the files of a stage are up to date. Needs no Keras, so that a run with nothing to do is quick."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.config import to_settings
from captioner.data.dataset import Dataset
from captioner.encoders.config import EncoderConfig
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.outputs import output_paths, up_to_date
from captioner.features.store import digest_features
from captioner.images.listing import find_pictures
from captioner.metrics.config import EvaluationConfig, scoring_settings
from captioner.metrics.scorer import is_available
from captioner.models.config import model_config
from captioner.recipe import Recipe, read_run
from captioner.recipe_paths import with_paths
from captioner.run_folder import CAPTIONER, SCORES, captioner_file, state_of
from captioner.storage import DataError, digest_file, read_manifest

logger = logging.getLogger(__name__)

SPLITS = ("train", "dev")  # the splits that training reads


def is_extracted(
    images: str | Path,
    output: str | Path | Sequence[Path],
    encoder: EncoderConfig,
    config: ExtractionConfig,
    layers: Sequence[str] = (),
) -> bool:
    """Tell whether the features of a folder are up to date, checked without building the network; log it if so.

    Raises:
        ConfigError, DataError: as captioner.stages.extract.extract does, before it builds the network.
    """
    layers = tuple(layers) or (encoder.layer,)
    paths = output_paths(output, layers, None)
    pictures = find_pictures(images)
    partial = paths[0].with_name(paths[0].name + ".partial")
    if partial.exists() or not up_to_date(paths, layers, encoder, config, pictures):
        return False
    for path in paths:
        manifest = read_manifest(path) or {}
        skipped = f", {len(manifest['skipped'])} skipped" if manifest.get("skipped") else ""
        logger.info(f"{path}: up to date ({manifest['pictures']} pictures{skipped})")
    return True


def inputs_of(data: Dataset, path: str | Path, digest: str) -> dict[str, Any]:
    """Return the manifest entries about a run's inputs; `training_differences` compares them.

    Args:
        data: the captions.
        path: of the features file or the shards.
        digest: of the features.
    """
    return {
        "features": {"path": str(path), "digest": digest},
        "captions": {"path": data.config.captions, "digest": data.digest},
        "splits": {name: digest for name, digest in data.split_digests().items() if name in SPLITS},
    }


def also_read(recipe: Recipe) -> dict[str, Any]:
    """Return the manifest entries about the other files that training reads: name -> path and digest.

    The digest of a missing file is None, because a finished run does not need the file.
    """
    read: dict[str, tuple[str, Callable[[str], str]]] = {}
    if recipe.train.begin_from is not None:
        read["train.begin_from"] = recipe.train.begin_from, lambda path: digest_file(captioner_file(Path(path)))
    for number, path in enumerate(recipe.train.views, start=1):
        read[f"train.views {number}"] = path, digest_features
    for number, path in enumerate(recipe.train.teachers, start=1):
        read["train.distill" if number == 1 else f"train.distill {number}"] = path, digest_file
    vectors = getattr(model_config(recipe.model)[1], "embeddings", None)
    if vectors is not None:
        read["model.embeddings"] = vectors, digest_file
    return {"also_read": {name: {"path": path, "digest": _digest(path, by)} for name, (path, by) in read.items()}}


def _digest(path: str, digest: Callable[[str], str]) -> str | None:
    try:
        return digest(path)
    except DataError:
        return None


def is_trained(folder: Path, recipe: Recipe, data: Dataset | None = None) -> bool:
    """Return whether the run in `folder` is finished and was trained with this recipe on the current files."""
    return state_of(folder) == "finished" and not training_differences(folder, recipe, data)


def _digest_inputs(recipe: Recipe) -> str:
    """Return the digest of the features that the recipe names, without reading them."""
    if recipe.data.source == "files":
        return digest_features(recipe.features)
    from captioner.stages.inputs import open_inputs  # imports TensorFlow, which reads shards

    return open_inputs(recipe.data, recipe.features, recipe.encoder, recipe.features_layout).digest


def training_differences(folder: Path, recipe: Recipe, data: Dataset | None = None) -> list[str]:
    """Return the differences between the finished run in `folder` and a run of the recipe, one entry each.

    Raises:
        DataError: a file is missing.
    """
    trained, wanted = _expanded(read_run(folder)), _expanded(recipe)
    found = []
    for section in ("data", "encoder", "text", "model", "train", "generation"):
        old, new = trained[section], wanted[section]
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                found.append(f"{section}.{key}: {old.get(key)} then, {new.get(key)} now")
    if trained["features_layout"] != wanted["features_layout"]:
        found.append(f"features_layout: {trained['features_layout']} then, {wanted['features_layout']} now")
    then = _digests(read_manifest(folder) or {})
    inputs = inputs_of(data or Dataset(recipe.data), Path(recipe.features), _digest_inputs(recipe))
    others = also_read(recipe)
    gone = {f"the {name} file" for name, about in others["also_read"].items() if about["digest"] is None}
    now = _digests({**inputs, **others})
    for name, digest in then.items():
        new_digest = now.get(name) or "nothing"
        if digest is not None and digest != new_digest and name not in gone:
            found.append(f"the content of {name}: {digest[:12]} then, {new_digest[:12]} now")
    return found


def _digests(inputs: Mapping[str, Any]) -> dict[str, str | None]:
    """Return name -> digest of the inputs of a manifest."""
    return {
        "the features file": inputs.get("features", {}).get("digest"),
        "the captions file": inputs.get("captions", {}).get("digest"),
        **{f"the {name} list": digest for name, digest in inputs.get("splits", {}).items()},
        **{f"the {name} file": about["digest"] for name, about in inputs.get("also_read", {}).items()},
    }


def _expanded(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's settings with the model's defaults filled in, so that an omitted default is no difference."""
    name, config = model_config(recipe.model)
    settings = with_paths(to_settings(recipe), lambda path: str(Path(path).resolve()))
    return {**settings, "model": {"architecture": name, **to_settings(config)}}


def made_of(config: EvaluationConfig, generation: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest entries that an evaluation depends on; `is_evaluated` compares them."""
    return {"split": config.split, "generation": dict(generation), **scoring_settings(config), **inputs}


def is_evaluated(folder: Path, output: Path, recipe: Recipe, data: Dataset | None = None) -> bool:
    """Return whether `output` contains an evaluation of the run in `folder` with this recipe on the current files.

    A metric that could not be computed because Java is missing counts as done until it can be computed.
    """
    manifest = read_manifest(output / SCORES) if (output / SCORES).is_file() else None
    if manifest is None or any(is_available(name) for name in manifest.get("skipped", ())):
        return False
    inputs = evaluation_inputs(
        [digest_file(folder / CAPTIONER)],
        [_digest_inputs(recipe)],
        data or Dataset(recipe.data),
        recipe.evaluation.split,
    )
    return made_of(recipe.evaluation, {}, inputs).items() <= manifest.items()


def evaluation_inputs(captioners: list[str], features: list[str], data: Dataset, split: str) -> dict[str, Any]:
    """Return the manifest entries about an evaluation's inputs: digests of captioners, features and captions."""
    return {
        "captioner": _one_or_all(captioners),
        "features": _one_or_all(features),
        "captions": data.digest,
        "pictures": data.split_digests().get(split, ""),
    }


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
