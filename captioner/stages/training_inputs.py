"""Read and check the inputs of training, and turn the captions into numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.config import to_settings
from captioner.data.captions import Captions, references_of
from captioner.data.dataset import Dataset
from captioner.data.distilled import distilled_text
from captioner.data.shards.store import ShardedFeatures
from captioner.data.training_text import training_text
from captioner.data.unreadable import without_unreadable
from captioner.features.store import FeatureStore, digest_features
from captioner.memory import collector_paused
from captioner.models.config import model_config
from captioner.recipe import Recipe
from captioner.run_folder import captioner_file
from captioner.stages.freshness import SPLITS, also_read, inputs_of
from captioner.stages.inputs import Inputs, open_inputs
from captioner.stages.resume import FREE
from captioner.storage import DataError, digest_file, digest_json
from captioner.text.vocabulary import Vocabulary
from captioner.training.checks import require_encoder, require_features, require_finite

logger = logging.getLogger(__name__)

_Words = list[list[str]]
_Numbers = list[list[int]]


@dataclass(frozen=True)
class TrainingInputs:
    """The inputs of a training run.

    Attributes:
        captions: the raw captions of both splits.
        features: of the splits' pictures.
        vocabulary: fitted on the training captions, or a trained captioner's.
        words: image_id -> the training references as words.
        training: image_id -> the captions to train on, as numbers: the references and the captions of `train.distill`.
        dev: image_id -> the references as numbers.
        inputs: the manifest entries about the inputs, see `inputs_of`.
        identity: digest of settings and data; training continues only from checkpoints with the same identity.
    """

    captions: Captions
    features: Inputs
    vocabulary: Vocabulary
    words: Mapping[str, list[list[str]]]
    training: Mapping[str, list[list[int]]]
    dev: Mapping[str, list[list[int]]]
    inputs: Mapping[str, Any]
    identity: str


@collector_paused()
def prepare(
    recipe: Recipe, data: Dataset, vocabulary: Vocabulary | None = None, identity: str | None = None
) -> TrainingInputs:
    """Read and check the inputs, and turn the captions into numbers.

    Args:
        recipe: the settings of the run.
        data: the recipe's data set.
        vocabulary: of a trained captioner; None fits one on the training captions.
        identity: of trained weights; None computes it from the settings and input files, which must all exist.

    Raises:
        DataError: an input is missing or broken, or the inputs do not fit together.
    """
    captions = data.load(SPLITS)
    features = open_inputs(recipe.data, recipe.features, recipe.encoder, recipe.features_layout)
    require_encoder(features, recipe.encoder)
    if isinstance(features, FeatureStore):
        captions = without_unreadable(captions, [features], recipe.data.max_unreadable)
        require_features(features, captions)
        require_finite(features, captions)
    text = training_text(data, captions, SPLITS, recipe.text.rules)
    training, dev = ({i: text[i] for i in captions.split(name) if i in text} for name in SPLITS)
    training = dict(list(training.items())[: recipe.data.limit])
    if vocabulary is None:
        vocabulary = Vocabulary.fit((caption for picture in training.values() for caption in picture), recipe.text)
    encoded = vocabulary.encode_all(training)
    inputs = inputs_of(data, features.path, features.digest)
    if identity is None:
        for path in recipe.train.teachers:
            generated = vocabulary.encode_all(distilled_text(path, training, captions.references, recipe.text.rules))
            encoded = {name: [*references, *generated.get(name, ())] for name, references in encoded.items()}
        identity = _identity(recipe, features, encoded, captions)
        inputs |= also_read(recipe)
    if isinstance(features, ShardedFeatures):
        training, encoded = _in_shards(features, training, dev, encoded)
    return TrainingInputs(
        captions=captions,
        features=features,
        vocabulary=vocabulary,
        words=training,
        training=encoded,
        dev=vocabulary.encode_all(dev),
        inputs=inputs,
        identity=identity,
    )


def _in_shards(
    features: ShardedFeatures, words: Mapping[str, _Words], dev: Mapping[str, _Words], encoded: Mapping[str, _Numbers]
) -> tuple[dict[str, _Words], dict[str, _Numbers]]:
    """Return the training captions, as words and as numbers, of the pictures that have records.

    Raises:
        DataError: no training picture has a record, or a dev picture has none.
    """
    if "dev" in features.shards and (lacking := features.missing(list(dev), "dev")):
        lacking = [
            image_id for image_id in lacking if not any(image_id in features.names(at) for at in features.shards)
        ]
        if lacking:
            raise DataError(
                f"{features.path}: {len(lacking)} of the {len(dev)} dev pictures are missing (first: {lacking[0]}); "
                "write the shards again, or remove the pictures from the split's list"
            )
    missing = dict.fromkeys(features.missing(list(encoded), "train"))
    if len(missing) == len(encoded):
        raise DataError(
            f"{features.path}: its split 'train' contains no picture of the training split; name the right shards"
        )
    if missing:
        logger.warning(
            f"{features.path}: {len(missing):,} of the {len(encoded):,} training pictures are missing (first: "
            f"{next(iter(missing))}) and are left out"
        )
    return (
        {image_id: texts for image_id, texts in words.items() if image_id not in missing},
        {image_id: texts for image_id, texts in encoded.items() if image_id not in missing},
    )


def _identity(recipe: Recipe, features: Inputs, encoded: Mapping[str, list[list[int]]], captions: Captions) -> str:
    """Return digests of a run's settings and training data, and of the dev split, for `checkpoint.is_same_run`.

    Settings that may change when a run continues are left out.
    """
    config = {name: value for name, value in to_settings(recipe.train).items() if f"train.{name}" not in FREE}
    for name in ("augment", "distill"):
        if not config[name]:
            del config[name]  # so that runs from before this setting existed can continue
    generation = to_settings(recipe.generation)
    name, model = model_config(recipe.model)
    architecture = {"architecture": name, **to_settings(model)}
    parts = {"train": config, "model": architecture, "generation": generation, "features": features.digest}
    if recipe.train.begin_from is not None:
        parts["begin_from"] = digest_file(captioner_file(Path(recipe.train.begin_from)))
    if recipe.train.views:
        parts["views"] = [digest_features(path) for path in recipe.train.views]
    if recipe.encoder.trained_to is not None:
        parts["trained_to"] = recipe.encoder.trained_to
    dev = references_of(captions, captions.split("dev"))
    return f"{digest_json({**parts, 'captions': encoded})}:{digest_json(dev)}"
