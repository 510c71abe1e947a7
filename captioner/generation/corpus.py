"""Captions many pictures from their features, which are read in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from captioner.data.batches import Features
from captioner.generation.caption import Caption

FEATURES_AT_ONCE = 1024  # pictures whose features are held in memory at a time


def decode(
    ids: Sequence[str], features: Features, caption_features: Callable[[Any, int], list[list[Caption]]]
) -> dict[str, list[Caption]]:
    """Caption the pictures `ids` from their features; return at least one caption for each, best first.

    Args:
        ids: image_ids, all of them in `features`.
        features: the pictures' features.
        caption_features: captions features (pictures, ...); its second argument is the number of the first picture.
    """
    captions: dict[str, list[Caption]] = {}
    for start in range(0, len(ids), FEATURES_AT_ONCE):
        part = ids[start : start + FEATURES_AT_ONCE]
        for image_id, candidates in zip(part, caption_features(features.gather(part), start), strict=True):
            captions[image_id] = candidates or [Caption("", (), float("-inf"))]
    return captions
