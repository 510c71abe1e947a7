"""Attention maps of a run's captions. The pictures are captioned again, because predictions.json only contains text."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from captioner.captioner import Captioner
from captioner.features.store import FeatureStore
from captioner.generation.corpus import decode
from captioner.report.pictures import Shown, embed_attention, grid_box, grid_columns

logger = logging.getLogger(__name__)


def attention_maps(
    captioner: Captioner,
    features: FeatureStore,
    shown: Mapping[str, Shown],
    generation: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Return image_id -> the attention maps of its caption for the page; empty if the decoder has no attention.

    Args:
        captioner: the run's captioner.
        features: features of the pictures.
        shown: the pictures; a picture whose caption has changed gets no maps.
        generation: settings of GenerationConfig with which the captions were made, if they differ from the captioner's.
    """
    ids = [image_id for image_id in shown if image_id in features]
    if (
        not ids
        or decode(ids[:1], features, lambda one, _: captioner.caption_features(one))[ids[0]][0].attention is None
    ):
        return {}
    logger.info(f"captioning {len(ids):,} pictures again for their attention maps")
    decoded = decode(ids, features, lambda batch, first: captioner.caption_features(batch, first=first, **generation))
    encoder = captioner.encoder_description or {}
    size, resizing = encoder.get("input_size", (1, 1)), encoder.get("resizing", "whole")
    maps = {}
    for image_id, (best, *_) in decoded.items():
        picture = shown[image_id]
        if best.attention is not None and best.tokens and best.text == picture.caption:
            box = grid_box((picture.height, picture.width), size, resizing)
            columns = grid_columns(best.attention.shape[1], size)
            maps[image_id] = embed_attention(best.tokens, best.attention, columns, box)
    if len(maps) < len(ids):
        logger.warning(
            f"{len(ids) - len(maps):,} pictures now get a different caption; they are shown without attention"
        )
    return maps
