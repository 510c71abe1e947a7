"""Decode a split and score it against the raw references."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.captioner import Captioner, load
from captioner.config import ConfigError, to_settings
from captioner.data.captions import Captions, references_of
from captioner.data.dataset import Dataset
from captioner.data.unreadable import without_unreadable
from captioner.encoders.config import differences
from captioner.ensemble import Ensemble, JointFeatures
from captioner.generation.corpus import decode
from captioner.metrics.config import EvaluationConfig, frequencies_of, require_choice
from captioner.metrics.scorer import DIVERSITY, RETRIEVAL, Scores, score
from captioner.output_places import require_place
from captioner.picture_captioner import PictureCaptioner
from captioner.recipe import Recipe, read_run
from captioner.results import digests_of, require_own_scores, write_predictions, write_scores
from captioner.run_folder import CAPTIONER, PREDICTIONS, SCORES
from captioner.stages.freshness import evaluation_inputs, made_of
from captioner.stages.inputs import Inputs, open_inputs
from captioner.stages.retrieval import retrieval
from captioner.stages.trust import describe_reliability, look_at, reliability_of
from captioner.storage import DataError, digest_file, write_manifest
from captioner.text.cleaning import clean_caption
from captioner.text.vocabulary import TextConfig

logger = logging.getLogger(__name__)


def require_same_encoder(captioner: PictureCaptioner, features: Any) -> None:
    """Refuse features that come from another encoder than the captioner was trained with.

    Raises:
        DataError: with the differences and both values of each.
    """
    trained, found = captioner.encoder_description, features.description
    if trained is None or found is None:
        return
    unlike = differences(found, trained)
    if unlike:
        raise DataError(
            f"{features.path}: comes from another encoder than this run ({'; '.join(unlike)}); "
            "extract the features again or name the right file"
        )


def evaluate(
    captioner: PictureCaptioner,
    captions: Captions,
    features: Any,
    config: EvaluationConfig,
    output: Path,
    *,
    inputs: Mapping[str, Any],
    generation: Mapping[str, Any],
) -> Scores:
    """Decode a split, score it, and write predictions.json, scores.json and per_image.csv to `output`.

    Args:
        captioner: the trained captioner.
        captions: references and the split; for the metric `diversity` also the training split.
        features: of the split's pictures, with `gather`, `description` and `path`.
        config: the search and the scores.
        output: folder for the results.
        inputs: the manifest entries about the inputs.
        generation: settings of GenerationConfig that differ from the captioner's defaults.

    Raises:
        ConfigError: more captions per picture are requested than the search keeps, or a metric needs a captioner
            trained with this package.
        DataError: the features come from another encoder or lack pictures, a picture has no references, or `output`
            cannot be written to.
    """
    require_place(output)
    require_same_encoder(captioner, features)
    if RETRIEVAL in config.metrics and not isinstance(captioner, Captioner):
        raise ConfigError(f"evaluation.metrics: {RETRIEVAL} needs a model trained with captioner train; leave it out")
    ids = captions.split(config.split)
    references = references_of(captions, ids)
    frequencies = frequencies_of(config.cider_df)
    settings = captioner.search(config.n, **generation).config
    together = f" with {len(captioner.members)} captioners" if isinstance(captioner, Ensemble) else ""
    logger.info(f"captioning the {len(ids)} pictures of split {config.split}{together}")
    decoded = decode(
        ids, features, lambda batch, first: captioner.caption_features(batch, config.n, first, **generation)
    )
    candidates = {image_id: several[0].text for image_id, several in decoded.items()}
    scores = score(
        candidates,
        references,
        config.metrics,
        alternatives={image_id: [caption.text for caption in several[1:]] for image_id, several in decoded.items()},
        cider_df=frequencies,
        training=_training_text(captions, _rules_of(captioner)) if DIVERSITY in config.metrics else None,
        confidence=config.confidence,
    )
    context: dict[str, Any] = {"split": config.split, "beam_size": settings.beam_size, "n": config.n}
    if frequencies is not None:
        context["cider_df"] = config.cider_df
    best = {image_id: several[0] for image_id, several in decoded.items()}
    looks = look_at(best, references, settings.max_length, scores.corpus.get("cider_d"))
    context["health"] = looks.to_json()
    if isinstance(captioner, Captioner) and RETRIEVAL in config.metrics:
        scores.corpus.update(retrieval(captioner, best, references, features))
    trust = reliability_of(captioner, best, scores)
    if trust is not None:
        context["confidence_curve"] = to_settings(trust)
    write_scores(scores, candidates, output, context)
    write_predictions(decoded, captions, output)
    write_manifest(
        output / SCORES,
        "evaluate",
        skipped=scores.skipped,
        predictions=digest_file(output / PREDICTIONS),
        files=digests_of(output),
        attention=any(several[0].attention is not None for several in decoded.values()),
        **made_of(config, generation, inputs),
    )
    for note in [*scores.notes, *looks.alarms()]:
        logger.warning(note)
    for line in describe_reliability(trust) if trust is not None else ():
        logger.info(line)
    return scores


def evaluate_run(
    folder: Path,
    recipe: Recipe,
    output: Path,
    generation: Mapping[str, Any],
    others: Sequence[Path] = (),
    data: Dataset | None = None,
) -> Scores:
    """Caption and score a split with the captioner of a run folder.

    Args:
        folder: the run folder.
        recipe: the run's recipe, possibly with other files or another `evaluation`.
        output: folder for predictions.json, scores.json and per_image.csv.
        generation: settings of GenerationConfig that differ from the captioner's defaults.
        others: more run folders; their captioners, each with its own run's features, form an ensemble with this one.
        data: the recipe's data set, if it has been read already.

    Raises:
        ConfigError, DataError: as `evaluate` does.
    """
    config, data = recipe.evaluation, data or Dataset(recipe.data)
    require_choice(config)
    require_own_scores(output, with_predictions=True)
    folders = [folder, *others]
    recipes = [recipe, *map(read_run, others)]
    members = [load(path) for path in folders]
    captioner = Ensemble(members, folders) if others else members[0]
    captioner.wide_search(config.n, **generation)  # reports an impossible setting before any file is read
    novelty = DIVERSITY in config.metrics and data.has_split("train")
    captions = data.load((config.split, "train") if novelty else (config.split,))
    stores = [_fitting(*member) for member in zip(members, folders, recipes, strict=True)]
    captions = without_unreadable(captions, stores, recipe.data.max_unreadable)
    captioners = [digest_file(path / CAPTIONER) for path in folders]
    inputs = evaluation_inputs(captioners, [store.digest for store in stores], data, config.split)
    features: Any = JointFeatures(stores) if others else stores[0]
    return evaluate(captioner, captions, features, config, output, inputs=inputs, generation=generation)


def _fitting(captioner: Captioner, folder: Path, recipe: Recipe) -> Inputs:
    """Return a run's features. Raises DataError if its captioner was trained on other features."""
    features = open_inputs(recipe.data, recipe.features, recipe.encoder, recipe.features_layout)
    require_same_encoder(captioner, features)
    expected = tuple(captioner.decoder.feature_shape)
    if features.shape != expected:
        found = f"{_show(features.shape)} numbers per picture, but {folder} was trained on {_show(expected)}"
        raise DataError(f"{features.path}: has {found}; name the features that the run was trained on")
    return features


def _show(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _rules_of(captioner: PictureCaptioner) -> str:
    return captioner.vocabulary.rules if isinstance(captioner, Captioner) else TextConfig().rules


def _training_text(captions: Captions, rules: str) -> list[str] | None:
    """Return the cleaned training captions, as the model saw them, or None if the training split is not known."""
    if "train" not in captions.splits:
        return None
    return [" ".join(clean_caption(text, rules)) for i in captions.split("train") for text in captions.references[i]]
