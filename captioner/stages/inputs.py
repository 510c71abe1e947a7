"""Open the features for training: a feature file, or TFRecord shards of features or pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from captioner.config import ConfigError
from captioner.data.batches import CaptionBatches, TrainingBatches
from captioner.data.dataset import DataConfig
from captioner.data.shards.batches import ShardBatches
from captioner.data.shards.store import ShardedFeatures, open_shards
from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import Encoder, build_encoder
from captioner.features.layout import Layout
from captioner.features.store import FeatureStore, open_features
from captioner.features.views import Views
from captioner.images.decode import load_image
from captioner.images.listing import list_images
from captioner.models.decoder import CaptionDecoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.recipe import Recipe
from captioner.storage import DataError
from captioner.training.augmented import AugmentedPictures
from captioner.training.checks import one_sided, open_views
from captioner.training.config import TrainConfig
from captioner.training.device import resolve_precision
from captioner.training.seen_features import SeenFeatures

Inputs = FeatureStore | ShardedFeatures
Seen = Inputs | SeenFeatures | Views | AugmentedPictures  # by training


def open_inputs(data: DataConfig, path: str, encoder: EncoderConfig, layout: Layout = "auto") -> Inputs:
    """Open the features that a recipe names: a file, or a folder of shards with `data.source: tfrecord`.

    Pictures in shards are encoded when training reads them.

    Raises:
        DataError: see captioner.features.store.open_features and captioner.data.shards.store.open_shards.
        ConfigError: see captioner.encoders.encoder.build_encoder.
    """
    if data.source == "files":
        return open_features(path, layout)
    shards = open_shards(path)
    if not shards.holds_pictures:
        return shards
    built = build_encoder(encoder)
    return shards.encoded_by(lambda pictures: _encode(built, pictures), built.description)


def _encode(encoder: Encoder, pictures: Sequence[bytes]) -> np.ndarray:
    prepared = [encoder.prepare(load_image(picture, at_least=encoder.input_size)) for picture in pictures]
    return encoder.encode(np.stack(prepared))


def make_batches(
    features: Seen, encoded: Mapping[str, Sequence[Sequence[int]]], config: TrainConfig
) -> TrainingBatches:
    """Return the batches of the training split.

    Args:
        features: from `open_inputs` or `as_training_sees`.
        encoded: image_id -> its captions as numbers.
        config: the `train` section.

    Raises:
        ConfigError: a setting needs a feature file.
        DataError: the shards contain none of the pictures.
    """
    size = config.batch_size_for(len(encoded))
    if not isinstance(features, ShardedFeatures):
        return CaptionBatches(features, encoded, size, config.seed, config.least_steps)
    if config.engine == "numpy":
        raise ConfigError("train.engine: numpy needs a feature file; set data.source to files")
    return ShardBatches(features, "train", encoded, size, config.seed, config.least_steps)


def as_training_sees(
    recipe: Recipe,
    words: Mapping[str, Sequence[Sequence[str]]],
    features: Inputs,
    seen: Inputs | SeenFeatures,
    decoder: CaptionDecoder,
) -> Seen:
    """Return the features that training reads: of several views or of augmented pictures if the recipe sets them.

    Args:
        recipe: the recipe.
        words: image_id -> the training captions as words.
        features: of the unchanged pictures.
        seen: the features for training without views: `features`, or the last grids that a tail computes from them.
        decoder: the decoder, with that tail if there is one.

    Raises:
        ConfigError: these settings need others that the recipe lacks, or exclude others that it has.
        DataError: see captioner.training.checks.open_views and captioner.images.listing.list_images.
    """
    config = recipe.train
    if config.augment:
        return _augmented(recipe, words, seen)
    if not config.views:
        return seen
    if not isinstance(features, FeatureStore):
        raise ConfigError("train.views: needs feature files; set data.source to files")
    views = open_views(config.views, features, words, config.seed)
    if not isinstance(seen, SeenFeatures) or not isinstance(decoder, FineTunedDecoder):
        return views
    others = [SeenFeatures(decoder, store, list(words)) for store in views.stores[1:]]
    return views.through([seen, *others])


def _augmented(
    recipe: Recipe, words: Mapping[str, Sequence[Sequence[str]]], seen: Inputs | SeenFeatures
) -> AugmentedPictures:
    if isinstance(seen, SeenFeatures):
        raise ConfigError("train.augment: cannot be combined with train.encoder_rate 0, which computes features once")
    if not isinstance(seen, FeatureStore):
        raise ConfigError("train.augment: needs the pictures of data.images; set data.source to files")
    if recipe.data.images is None:
        raise ConfigError("train.augment: needs the pictures; name their folder in data.images")
    paths = list_images(recipe.data.images)
    if missing := [image_id for image_id in words if image_id not in paths]:
        raise DataError(
            f"{recipe.data.images}: {len(missing)} of the {len(words)} training pictures are missing (first: "
            f"{missing[0]}); train.augment needs them"
        )
    encoder = build_encoder(replace(recipe.encoder, trained_to=None), resolve_precision(recipe.train.precision))
    return AugmentedPictures(paths, encoder, recipe.train.augment, one_sided(words), recipe.train.seed)
