"""Decode a split and score it against the raw references; training calls it for its dev score."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.captioner import Captioner
from captioner.data.captions import Captions
from captioner.generation.caption import Caption
from captioner.metrics.scorer import Scores, score
from captioner.storage import DataError, digest_file, remove_manifest, write_json, write_manifest, write_text
from captioner.vision.encoders import differences
from captioner.vision.features import FeatureStore

FEATURES_AT_ONCE = 1024  # pictures whose features are held in memory at a time


@dataclass(frozen=True)
class EvaluationConfig:
    """The `evaluation` section of a recipe.

    Attributes:
        split: the split that is decoded.
        metrics: what is scored, names of captioner.metrics.scorer.
    """

    split: str = "dev"
    metrics: tuple[str, ...] = ("bleu", "rouge", "cider")


def decode(
    ids: Sequence[str], features: FeatureStore, caption_features: Callable[[Any], list[list[Caption]]]
) -> dict[str, Caption]:
    """Caption the pictures `ids` by their features; return each one's best caption.

    Args:
        ids: image_ids, all of them in `features`.
        features: the pictures' features.
        caption_features: captions features (pictures, ...).
    """
    captions: dict[str, Caption] = {}
    for start in range(0, len(ids), FEATURES_AT_ONCE):
        part = ids[start : start + FEATURES_AT_ONCE]
        for image_id, candidates in zip(part, caption_features(features.gather(part)), strict=True):
            captions[image_id] = candidates[0] if candidates else Caption("", (), float("-inf"))
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
    say: Callable[[str], None] = print,
) -> Scores:
    """Decode a split, score it, and write predictions.json, scores.json and per_image.csv to `output`.

    Args:
        captioner: the trained captioner.
        captions: references and the split.
        features: of the split's pictures.
        config: split and metrics.
        output: a folder.
        inputs: what the manifest says of where things came from.
        generation: settings of GenerationConfig that differ from the captioner's defaults.
        say: takes lines for the user.

    Raises:
        DataError: the features come from another encoder or lack pictures, or a picture has no references.
    """
    require_same_encoder(captioner, features)
    ids = captions.split(config.split)
    references = references_of(captions, ids)
    decoded = decode(ids, features, lambda batch: captioner.caption_features(batch, **generation))
    scores = score({image_id: caption.text for image_id, caption in decoded.items()}, references, config.metrics)
    predictions = [_prediction(image_id, caption, captions) for image_id, caption in decoded.items()]
    settings = captioner.search(**generation).config
    write_scores(
        scores,
        {image_id: caption.text for image_id, caption in decoded.items()},
        output,
        context={"split": config.split, "beam_size": settings.beam_size},
    )
    write_json(output / "predictions.json", predictions)
    write_manifest(
        output / "scores.json",
        "evaluate",
        metrics=list(config.metrics),
        generation=dict(generation),
        predictions=digest_file(output / "predictions.json"),
        **inputs,
    )
    for note in scores.notes:
        say(f"note: {note}")
    return scores


def _prediction(image_id: str, caption: Caption, captions: Captions) -> dict[str, Any]:
    """Return one entry of COCO's results form; its ids are whole numbers there."""
    picture = captions.pictures.get(image_id)
    return {
        "image_id": int(image_id) if image_id.isdecimal() and str(int(image_id)) == image_id else image_id,
        "caption": caption.text,
        "file_name": picture.name if picture else None,
        "log_prob": round(caption.log_prob, 6),
    }


def write_scores(
    scores: Scores, candidates: Mapping[str, str], output: Path, context: Mapping[str, Any] | None = None
) -> None:
    """Write scores.json (corpus scores as fractions, and `context`) and per_image.csv."""
    remove_manifest(output / "scores.json")
    rounded = {name: round(value, 6) for name, value in scores.corpus.items()}
    write_json(output / "scores.json", {**rounded, "pictures": len(candidates), **(context or {})})
    names = list(next(iter(scores.per_image.values()), {}))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image_id", *names, "caption"])
    for image_id, row in scores.per_image.items():
        writer.writerow([image_id, *(f"{row[name]:.6f}" for name in names), candidates[image_id]])
    write_text(output / "per_image.csv", table.getvalue())


def describe(scores: Mapping[str, float]) -> str:
    """Return scores on one line, in the hundreds that papers use."""
    labels = {"rouge_l": "ROUGE-L", "cider_d": "CIDEr-D", "meteor": "METEOR"}
    return "  ".join(
        f"{labels.get(name, name.replace('_', '-').upper())} {100 * value:.2f}" for name, value in scores.items()
    )
