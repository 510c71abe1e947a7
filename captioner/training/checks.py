"""Checks of features and captions before hours of training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from captioner.config import to_settings
from captioner.data.captions import Captions
from captioner.data.shards.store import ShardedFeatures
from captioner.encoders.config import EncoderConfig, differences
from captioner.features.store import FeatureStore, open_features
from captioner.features.views import Views
from captioner.images.ids import one_of_each
from captioner.storage import DataError

logger = logging.getLogger(__name__)

FEATURES_AT_ONCE = 256  # pictures whose features are held in memory at a time
LOOKED_AT = 4096  # pictures that are checked again in a file that was checked when it was written
SIDES = frozenset(("left", "right"))


def require_encoder(features: FeatureStore | ShardedFeatures, encoder: EncoderConfig) -> None:
    """Raise an error if the feature file records another encoder than the recipe's.

    Raises:
        DataError: names each setting that differs, with both values.
    """
    made_by = {"view": "whole", **features.description} if features.description else {}
    wishes = {**to_settings(encoder), "input_size": list(encoder.size) if encoder.size else None}
    # `grid` is recorded under the layer's real name, `weights` as a digest
    compared = {name: wanted for name, wanted in wishes.items() if name not in ("weights", "trained_to")}
    unlike = [
        f"{name}: {made_by[name]} in the file, {wanted} in the recipe"
        for name, wanted in compared.items()
        if wanted not in (None, "grid") and made_by.get(name, wanted) != wanted
    ]
    if unlike:
        raise DataError(
            f"{features.path}: comes from another encoder ({'; '.join(unlike)}); extract the features again, "
            "name another file, or change the recipe's encoder"
        )


def open_views(
    paths: Sequence[str], features: FeatureStore, words: Mapping[str, Sequence[Sequence[str]]], seed: int
) -> Views:
    """Return features together with those of other views of the same training pictures.

    Args:
        paths: the files of the other views.
        features: the features of the unchanged pictures.
        words: image_id -> the training captions as words: pictures whose captions say left or right are not mirrored.
        seed: seed of the random choice of views.

    Raises:
        DataError: a file has other pictures or was made by another encoder.
    """
    stores = [features]
    for path in paths:
        store = open_features(path)
        found = differences(store.description or {}, features.description or {})
        unlike = [line for line in found if not line.startswith("view: ")]
        if unlike:
            raise DataError(f"{path}: comes from another encoder than {features.path} ({'; '.join(unlike)})")
        missing = store.missing(list(words))
        if missing:
            raise DataError(f"{path}: lacks {len(missing)} training pictures (first: {missing[0]}); extract them")
        stores.append(store)
    return Views(stores, one_sided(words), seed)


def one_sided(words: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
    """Return the pictures whose captions mention left or right; for mirrored pictures these would be wrong."""
    return [image_id for image_id, captions in words.items() if any(SIDES & {*caption} for caption in captions)]


def require_features(features: FeatureStore, captions: Captions) -> None:
    """Raise an error if a feature file lacks pictures of the splits.

    Raises:
        DataError: names the first missing picture and counts them.
    """
    for name, ids in captions.splits.items():
        missing = features.missing(ids)
        if missing and len(missing) == len(ids):
            raise DataError(
                f"{features.path} and split {name} have {one_of_each(features, missing)}; "
                "extract the features from the folder that the captions' paths are relative to"
            )
        if missing:
            raise DataError(
                f"{features.path}: lacks {len(missing)} of the {len(ids)} pictures of split {name} (first: "
                f"{missing[0]}); extract them (captioner extract) or remove them from the split's list"
            )


def require_finite(features: FeatureStore, captions: Captions) -> None:
    """Read the features once: `gather` raises an error for values that are not numbers (NaN). Log useless features.

    A file that captioner wrote was checked when it was written; here a sample of its pictures is enough.

    Raises:
        DataError: names the picture.
    """
    ids = [image_id for split in captions.splits.values() for image_id in split]
    if features.ours:
        ids = ids[:: max(1, len(ids) // LOOKED_AT)]
    first: np.ndarray | None = None
    differ, zero = False, list[str]()
    for start in range(0, len(ids), FEATURES_AT_ONCE):
        part = ids[start : start + FEATURES_AT_ONCE]
        rows = features.gather(part)  # (pictures, ...)
        first = rows[0] if first is None else first
        differ = differ or bool((rows != first).any())
        nothing = ~rows.any(axis=tuple(range(1, rows.ndim)))  # (pictures,)
        zero += [part[place] for place in np.flatnonzero(nothing)]
    if zero:
        logger.warning(
            f"{features.path}: the features of {len(zero):,} of {len(ids):,} pictures are zero (first: {zero[0]!r})"
        )
    elif len(ids) > 1 and not differ:
        logger.warning(f"{features.path}: all {len(ids):,} pictures have the same features; check the pictures")
