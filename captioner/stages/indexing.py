"""Create or update the index of a folder's pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioner.captioner import Captioner
from captioner.encoders.config import config_of, differences
from captioner.extraction.config import ExtractionConfig
from captioner.features.store import FeatureStore, open_features
from captioner.generation.likelihood import Likelihood
from captioner.images.listing import Pictures, find_pictures
from captioner.progress import Progress
from captioner.stages.extract import extract
from captioner.stages.picture_index import (
    FEATURES,
    KEPT,
    MAX_LENGTH,
    WORDS,
    PictureIndex,
    are_fresh,
    index_folder,
    keys_of,
    read_words,
)
from captioner.storage import DataError, atomic_path, read_manifest, write_manifest

logger = logging.getLogger(__name__)

AT_ONCE = 64  # pictures that are captioned together


def open_index(
    captioner: Captioner, model: str, folder: Path, place: Path | None = None, config: ExtractionConfig | None = None
) -> PictureIndex:
    """Create or update the index of a folder and return it; only new and changed pictures are encoded.

    Args:
        captioner: the captioner, whose encoder and words make up the index.
        model: digest of the captioner; with another model, the words are computed again.
        folder: folder of pictures.
        place: path of the index; None for the default, beside the folder.
        config: how pictures are encoded.

    Raises:
        DataError: no pictures, the index cannot be written, or the captioner's encoder is not available.
    """
    pictures = find_pictures(folder)
    place = index_folder(folder) if place is None else place
    features = _features(captioner, pictures, folder, place / FEATURES, config)
    known = read_words(place / WORDS, model)
    keys = keys_of(features)
    if known is not None and known["keys"].tolist() == keys:
        return PictureIndex(pictures, features, known["captions"], known["words"], known["chances"])
    made = _words(captioner, features, keys, known)
    with atomic_path(place / WORDS) as temporary:
        np.savez(temporary, allow_pickle=False, keys=np.array(keys), **made)
    write_manifest(place / WORDS, "index", model=model, pictures=len(keys))
    return PictureIndex(pictures, features, made["captions"], made["words"], made["chances"])


def _features(
    captioner: Captioner, pictures: Pictures, folder: Path, path: Path, config: ExtractionConfig | None
) -> FeatureStore:
    described = captioner.encoder_description
    if described is None:
        captioner.find_encoder()  # raises an error that says why there is no encoder
        raise DataError("an ensemble cannot have an index; name one model")
    if are_fresh(path, described, pictures):
        return open_features(path)
    manifest = read_manifest(path) if path.is_file() else None
    if manifest is not None and differences(manifest.get("encoder") or {}, described):
        logger.warning(f"{path}: comes from another encoder; encoding the pictures again")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{path.parent}: the index cannot be written there ({error.strerror}); name another folder with --index"
        ) from None
    extract(folder, path, config_of(described), config, overwrite=True)
    return open_features(path)


def _words(
    captioner: Captioner, features: FeatureStore, keys: Sequence[str], known: dict[str, np.ndarray] | None
) -> dict[str, Any]:
    """Return captions, words and word probabilities of all pictures; those in the index are not computed again."""
    before = {} if known is None else {key: row for row, key in enumerate(known["keys"].tolist())}
    kept = min(KEPT, len(captioner.vocabulary))
    words, chances = np.zeros((len(keys), kept), np.int32), np.zeros((len(keys), kept), np.float16)
    captions = [""] * len(keys)
    for row, key in enumerate(keys):
        if key in before and known is not None:
            old = before[key]
            words[row], chances[row], captions[row] = known["words"][old], known["chances"][old], known["captions"][old]
    new = np.array([row for row, key in enumerate(keys) if key not in before], int)
    likelihood = Likelihood(captioner.decoder, MAX_LENGTH)
    with Progress("indexed", len(new), "pictures") as progress:
        for start in range(0, len(new), AT_ONCE):
            rows = new[start : start + AT_ONCE]
            batch = features.at(rows)
            found = captioner.caption_features(batch)
            tokens = [captioner.vocabulary.encode(several[0].tokens if several else ()) for several in found]
            each = likelihood.words(batch, likelihood.padded(tokens))
            best = np.argpartition(-each, kept - 1, axis=1)[:, :kept]
            words[rows], chances[rows] = best, np.take_along_axis(each, best, axis=1)
            for row, several in zip(rows, found, strict=True):
                captions[row] = several[0].text if several else ""
            progress.advance(len(rows))
    return {"captions": np.array(captions, str), "words": words, "chances": chances}
