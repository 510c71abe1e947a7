"""Leaves out pictures of a split that have no features because they cannot be read, if they are few."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from captioner.data.captions import Captions
from captioner.features.skipped import read_skipped, skipped_path
from captioner.features.store import FeatureStore
from captioner.storage import DataError

logger = logging.getLogger(__name__)


def without_unreadable(captions: Captions, stores: Collection[Any], share: float) -> Captions:
    """Return captions without the pictures of each split that the extraction could not read.

    Only pictures that `FILE.skipped.csv` names are left out; other missing features are reported when they are read.

    Args:
        captions: captions with splits.
        stores: the feature files, one for each captioner.
        share: the largest share of a split's pictures that may be left out.

    Raises:
        DataError: more are unreadable.
    """
    readable, notes = readable_part(captions, stores, share)
    for note in notes:
        logger.warning(note)
    return readable


def readable_part(captions: Captions, stores: Collection[Any], share: float) -> tuple[Captions, list[str]]:
    """Return the result of `without_unreadable` and, instead of logging them, the notes: one sentence for each split.

    Args:
        captions, stores, share: see `without_unreadable`.

    Raises:
        DataError: more are unreadable.
    """
    notes: list[str] = []
    splits = dict(captions.splits)
    for store in stores:
        if not isinstance(store, FeatureStore):  # shards hold only pictures that could be read
            continue
        missing = {name: store.missing(ids) for name, ids in splits.items()}
        if not any(missing.values()):
            continue
        skipped = read_skipped(store.path)
        for name, absent in missing.items():
            left = dict.fromkeys(image_id for image_id in absent if image_id in skipped)
            if not left:
                continue
            named = f"{len(left):,} of the {len(splits[name]):,} pictures of split {name} cannot be read"
            first = f"{skipped_path(store.path)} names them (first: {next(iter(left))!r})"
            if len(left) > share * len(splits[name]):
                raise DataError(
                    f"{named}; {first}. Replace them and extract again, or raise data.max_unreadable ({share:g})"
                )
            notes.append(f"{named} and are left out; {first}")
            splits[name] = tuple(image_id for image_id in splits[name] if image_id not in left)
    return replace(captions, splits=splits), notes
