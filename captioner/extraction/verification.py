"""Verifies a feature file against its manifest, the pictures in the folder, and the encoder."""

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

ENCODED_AGAIN = 8  # pictures, spread evenly over the file
ROWS_AT_ONCE = 64


def verify(output: Path, images: Path | None) -> None:
    """Check a feature file against its manifest, its pictures and its encoder; log the checks that pass.

    Args:
        output: the feature file.
        images: the folder of its pictures; if None, only the file itself is checked.

    Raises:
        DataError: the file is missing, broken or does not match its manifest; pictures have changed, were added or
            removed; or the encoder gives other features.
    """
    if not output.is_file():
        raise DataError(f"{output}: no such file; to make it, run `captioner extract IMAGES -o {output}`")
    manifest = read_manifest(output)
    if manifest is None or "encoder" not in manifest:
        raise DataError(f"{output}: its manifest {manifest_path(output).name} is missing, so it cannot be verified")
    if (found := digest_file(output)) != manifest["digest"]:
        raise DataError(
            f"{output}: its digest is {found[:12]}, but its manifest has {manifest['digest'][:12]}; "
            "extract the features again"
        )
    store = open_features(output)
    for start in range(0, len(store), ROWS_AT_ONCE):
        store.at(range(start, min(start + ROWS_AT_ONCE, len(store))))
    logger.info(f"{output}: {len(store)} pictures, complete and matching its manifest")
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
    faults = {"without features": lacking, "no longer in the folder": gone, "changed since": changed}
    said = [f"{fault}: {len(names)} (first: {names[0]})" for fault, names in faults.items() if names]
    if said:
        raise DataError(f"{store.path}: {'; '.join(said)}; to update it, run captioner extract -o {store.path}")
    known = "all present; their digests were not recorded" if sources is None else "all present and unchanged"
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
                f"{store.path}: {description['backbone']} gives other features for {name!r} (cosine {cosine:.4f}); "
                "extract them again"
            )
    logger.info(f"{len(names)} of them were encoded again: the features are the same")
