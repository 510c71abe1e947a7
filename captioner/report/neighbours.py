"""Possible origins of a caption: the most similar training pictures, and training captions with the same words."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from captioner.config import ConfigError, build
from captioner.data.dataset import DataConfig, Dataset
from captioner.features.store import open_features
from captioner.storage import DataError
from captioner.text.ptb import tokenize
from captioner.training.baseline import nearest

logger = logging.getLogger(__name__)

NEIGHBOURS = 3  # training pictures to show beside each picture
TRAIN = "train"


def training_neighbours(settings: Mapping[str, Any], captions: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the training data most similar to some captioned pictures; empty, with a warning, if the data are missing.

    Args:
        settings: of a run, with its paths relative to the current folder.
        captions: image_id -> the model's caption.

    Returns:
        image_id -> `nearest`, the training pictures with the most similar features: `id`, `similarity` (the cosine)
        and `captions`; and `copies`, the number of training captions with the same words in the same order.
    """
    try:
        data = Dataset(build(DataConfig, settings["data"], "data"))
        if TRAIN not in data.whole.splits and TRAIN not in data.split_digests():
            raise DataError("the list of the training split is missing")
        loaded = data.load((TRAIN,))
        features = open_features(settings["features"], settings.get("features_layout", "auto"))
        known = [image_id for image_id in loaded.splits[TRAIN] if image_id in features]
        asked = [image_id for image_id in captions if image_id in features]
        found = nearest(features, known, asked, NEIGHBOURS) if known and asked else {}
    except (ConfigError, DataError, KeyError) as error:
        logger.warning(f"the page does not show the nearest training pictures: {error}")
        return {}
    counts = _counts(loaded.references, loaded.splits[TRAIN])
    return {
        image_id: {
            "nearest": [
                {"id": other, "similarity": round(cosine, 4), "captions": list(loaded.references[other])}
                for other, cosine in found.get(image_id, [])
            ],
            "copies": counts.get(tuple(tokenize(caption)), 0),
        }
        for image_id, caption in captions.items()
    }


def _counts(references: Mapping[str, Sequence[str]], ids: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Return the number of captions of the pictures for each sequence of words."""
    counts: dict[tuple[str, ...], int] = {}
    for image_id in ids:
        for text in references[image_id]:
            words = tuple(tokenize(text))
            counts[words] = counts.get(words, 0) + 1
    return counts
