"""Checking a feature file: that it is what was written, of the pictures that are there, and what the encoder makes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from captioner.encoders.encoder import encoder_from_description
from captioner.extraction.loader import Decoder, decode, read_listed
from captioner.extraction.probe import LEAST_COSINE, least_cosine
from captioner.extraction.staleness import different
from captioner.features.store import FeatureStore, open_features
from captioner.images.listing import Pictures, find_pictures
from captioner.storage import DataError, digest_file, manifest_path, read_manifest

logger = logging.getLogger(__name__)

ENCODED_AGAIN = 8  # pictures, spread over the file
ROWS_AT_ONCE = 64


def verify(output: Path, images: Path | None) -> None:
    """Check a feature file against its manifest, its pictures and its encoder; say what was found right.

    Args:
        output: the feature file.
        images: the folder that it was made from; without one only the file itself is checked.

    Raises:
        DataError: the file is missing, broken or not what its manifest describes; pictures have changed, come or gone
            since; or the encoder gives other features.
    """
    if not output.is_file():
        raise DataError(f"{output}: no such file; `captioner extract IMAGES -o {output}` makes it")
    manifest = read_manifest(output)
    if manifest is None or "encoder" not in manifest:
        raise DataError(f"{output}: nothing says what made it ({manifest_path(output).name} is missing); cannot verify")
    if (found := digest_file(output)) != manifest["digest"]:
        raise DataError(
            f"{output}: its digest is {found[:12]}, its manifest's {manifest['digest'][:12]}; "
            "extract the features again"
        )
    store = open_features(output)
    for start in range(0, len(store), ROWS_AT_ONCE):
        store.at(range(start, min(start + ROWS_AT_ONCE, len(store))))
    logger.info(f"{output}: {len(store)} pictures, whole and as its manifest says")
    if images is not None:
        pictures = find_pictures(images)
        if "shard" in manifest:
            pictures = pictures.shard(manifest["shard"]["part"], manifest["shard"]["of"])
        _check_pictures(store, manifest, pictures)
        _check_encoder(store, manifest["encoder"], pictures)


def _check_pictures(store: FeatureStore, manifest: Mapping[str, Any], pictures: Pictures) -> None:
    skipped = set(manifest.get("skipped") or ())
    lacking = [name for name in pictures.ids if name not in store and name not in skipped]
    gone = [name for name in store if name not in pictures.ids]
    sources = store.sources()
    found = [] if sources is None else different(store, sources, pictures, range(len(pictures)))
    changed = [pictures.ids[place] for place in found]
    faults = {"without features": lacking, "not in the folder any more": gone, "changed since": changed}
    said = [f"{fault}: {len(names)} ({names[0]} the first)" for fault, names in faults.items() if names]
    if said:
        raise DataError(f"{store.path}: {'; '.join(said)}; captioner extract -o {store.path} brings it up to date")
    known = "all there; their digests were not recorded" if sources is None else "all there and unchanged"
    logger.info(
        f"{pictures.folder}: its pictures are {known}" + (f", {len(skipped)} of them skipped" if skipped else "")
    )


def _check_encoder(store: FeatureStore, description: Mapping[str, Any], pictures: Pictures) -> None:
    encoder = encoder_from_description(description, description.get("precision", "float32"))
    held = np.flatnonzero(store.ids.find_encoded(pictures.ids.encoded) >= 0)
    places = held[np.linspace(0, len(held) - 1, min(ENCODED_AGAIN, len(held))).astype(int)]
    decoder, names, rows = Decoder(encoder.input_size, encoder.prepare), [], []
    for place in map(int, places):
        name, data, _ = read_listed(pictures, place)
        names.append(pictures.ids[place])
        rows.append(decode(data, name, decoder))
    features = encoder.encode(np.stack(rows))
    for name, now, then in zip(names, features, store.gather(names), strict=True):
        if (cosine := least_cosine(now[None], then[None])) < LEAST_COSINE:
            raise DataError(
                f"{store.path}: {description['backbone']} makes other features of {name!r} (cosine {cosine:.4f}); "
                "extract them again"
            )
    logger.info(f"{len(names)} of them encoded again: the same features")
