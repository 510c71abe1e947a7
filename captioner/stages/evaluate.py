"""Decode a split and score it against the raw references; training calls it for its dev score."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.captioner import Captioner
from captioner.data.captions import Captions
from captioner.encoders.config import differences
from captioner.ensemble import Ensemble
from captioner.features.store import FeatureStore
from captioner.generation.caption import Caption
from captioner.metrics.scorer import DIVERSITY, Scores, score
from captioner.stages.results import PREDICTIONS, SCORES, write_predictions, write_scores
from captioner.stages.score import EvaluationConfig, frequencies_of, how
from captioner.storage import DataError, digest_file, write_manifest
from captioner.text.cleaning import clean_caption

logger = logging.getLogger(__name__)

FEATURES_AT_ONCE = 1024  # pictures whose features are held in memory at a time


def decode(
    ids: Sequence[str], features: FeatureStore, caption_features: Callable[[Any, int], list[list[Caption]]]
) -> dict[str, list[Caption]]:
    """Caption the pictures `ids` by their features; return each one's captions, best first, one at least.

    Args:
        ids: image_ids, all of them in `features`.
        features: the pictures' features.
        caption_features: captions features (pictures, ...), of which the first has the given number.
    """
    captions: dict[str, list[Caption]] = {}
    for start in range(0, len(ids), FEATURES_AT_ONCE):
        part = ids[start : start + FEATURES_AT_ONCE]
        for image_id, candidates in zip(part, caption_features(features.gather(part), start), strict=True):
            captions[image_id] = candidates or [Caption("", (), float("-inf"))]
    return captions


def references_of(captions: Captions, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the raw references of `ids`. Raises DataError where a picture has none."""
    missing = [image_id for image_id in ids if not captions.references.get(image_id)]
    if missing:
        raise DataError(
            f"{len(missing)} pictures have no references, the first is {missing[0]}; take them off the split"
        )
    return {image_id: captions.references[image_id] for image_id in ids}


def require_same_encoder(captioner: Captioner, features: FeatureStore) -> None:
    """Refuse features of another encoder than the captioner was trained with.

    Raises:
        DataError: naming what differs, both values.
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
    captioner: Captioner,
    captions: Captions,
    features: FeatureStore,
    config: EvaluationConfig,
    output: Path,
    *,
    inputs: Mapping[str, Any],
    generation: Mapping[str, Any],
) -> Scores:
    """Decode a split, score it, and write predictions.json, scores.json and per_image.csv to `output`.

    Args:
        captioner: the trained captioner.
        captions: references and the split; where the metric `diversity` is asked for, the training split too.
        features: of the split's pictures.
        config: what is decoded and how it is scored.
        output: a folder.
        inputs: what the manifest says of where things came from.
        generation: settings of GenerationConfig that differ from the captioner's defaults.

    Raises:
        ConfigError: more captions a picture are asked for than the search keeps.
        DataError: the features come from another encoder or lack pictures, or a picture has no references.
    """
    require_same_encoder(captioner, features)
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
        training=_training_text(captions, captioner.vocabulary.rules) if DIVERSITY in config.metrics else None,
        confidence=config.confidence,
    )
    context: dict[str, Any] = {"split": config.split, "beam_size": settings.beam_size, "n": config.n}
    if frequencies is not None:
        context["cider_df"] = config.cider_df
    write_scores(scores, candidates, output, context)
    write_predictions(decoded, captions, output)
    write_manifest(
        output / SCORES,
        "evaluate",
        metrics=[name for name in config.metrics if name not in scores.skipped],
        generation=dict(generation),
        predictions=digest_file(output / PREDICTIONS),
        attention=any(several[0].attention is not None for several in decoded.values()),
        **how(config),
        **inputs,
    )
    for note in scores.notes:
        logger.warning(note)
    return scores


def _training_text(captions: Captions, rules: str) -> list[str] | None:
    """Return the captions of the training as the model saw them, where the training split is known."""
    if "train" not in captions.splits:
        return None
    return [" ".join(clean_caption(text, rules)) for i in captions.split("train") for text in captions.references[i]]
