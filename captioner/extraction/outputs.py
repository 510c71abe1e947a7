"""The output files of an extraction: their names, existing files, and writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import ConfigError
from captioner.encoders.config import IDENTITY, EncoderConfig, differences
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.partial import DIGEST_BYTES, PartialFeatures
from captioner.extraction.staleness import are_stale, replaced
from captioner.features.formats import Content, Storage
from captioner.features.store import current_digest, open_features, settle_manifest, write_content
from captioner.images.index import IdIndex
from captioner.images.listing import Pictures
from captioner.storage import DataError, manifest_path, read_manifest

KEPT = np.dtype([("bytes", "<i8"), ("digest", f"V{DIGEST_BYTES}")])  # of each picture's file


def output_paths(
    output: str | Path | Sequence[Path], layers: Sequence[str], shard: tuple[int, int] | None
) -> tuple[Path, ...]:
    """Return the feature files of layers: the given ones, or one name into which layer and shard are inserted.

    Raises:
        ConfigError: there is neither one name nor one for each layer, or two files would be the same.
    """
    named = [Path(output)] if isinstance(output, str | Path) else [Path(path) for path in output]
    if len(named) == 1 and len(layers) > 1:
        named = [named[0].with_name(f"{named[0].stem}.{layer}{named[0].suffix}") for layer in layers]
    if len(named) != len(layers):
        raise ConfigError(f"{len(named)} outputs for {len(layers)} layers; name one output, or one for each layer")
    if shard is not None:
        named = [path.with_name(f"{path.stem}.shard-{shard[0]}-of-{shard[1]}{path.suffix}") for path in named]
    if len(set(named)) != len(named):
        raise ConfigError(f"{named[0]}: two layers cannot go into one file; name an output for each")
    return tuple(named)


@dataclass(frozen=True)
class Target:
    """A feature file to write.

    Attributes:
        path: the file.
        description: the encoder's description, with the layer of this file.
        dtype: type of its numbers.
        manifest: the manifest of an existing file of the same encoder; None if there is none.
        finished: whether the existing file is up to date.
    """

    path: Path
    description: Mapping[str, Any]
    dtype: Storage
    manifest: Mapping[str, Any] | None
    finished: bool

    @property
    def identity(self) -> dict[str, Any]:
        """The part of the description that determines the features."""
        return {key: self.description[key] for key in IDENTITY if key in self.description}


def find_target(
    path: Path, description: Mapping[str, Any], dtype: Storage, inputs: str, precision: str, overwrite: bool
) -> Target:
    """Examine the file at `path`.

    Args:
        path: the feature file.
        description: the encoder's description, with the layer of this file.
        dtype: type of the numbers in a `.h5` file.
        inputs: the digest of the pictures' listing.
        precision: the precision of the features, or `auto`.
        overwrite: treat an existing file of another encoder, or of unknown origin, as missing.

    Raises:
        DataError: such a file exists, and `overwrite` is false.
    """
    dtype = "float32" if path.suffix == ".pkl" else dtype
    settle_manifest(path)
    manifest = _usable_manifest(path, description, overwrite) if path.exists() else None
    if manifest is not None and (
        manifest.get("dtype") != dtype or precision not in ("auto", manifest["encoder"]["precision"])
    ):
        manifest = None
    finished = manifest is not None and manifest.get("inputs") == inputs
    return Target(path, description, dtype, manifest, finished)


def up_to_date(
    paths: Sequence[Path], layers: Sequence[str], encoder: EncoderConfig, config: ExtractionConfig, pictures: Pictures
) -> bool:
    """Return whether feature files are up to date, without building the network.

    False can also mean that only the network can decide this: if weights come from a file, or if the layer is the last
    grid, which older extractions record under its real name.

    Args:
        paths: the feature files.
        layers: the layer of each file.
        encoder: the network, its weights and resizing.
        config: the numbers' type and precision.
        pictures: the folder's pictures.
    """
    if encoder.weights not in ("imagenet", "random"):
        return False
    inputs = pictures.digest()
    for path, layer in zip(paths, layers, strict=True):
        settle_manifest(path)
        manifest = read_manifest(path) if path.is_file() else None
        made_by = (manifest or {}).get("encoder") or {}
        if manifest is None or manifest.get("digest") != current_digest(path, manifest):
            return False
        asked = {
            "backbone": encoder.backbone,
            "resizing": encoder.resizing,
            "filter": encoder.filter,
            "source": encoder.weights,
        }
        dtype = "float32" if path.suffix == ".pkl" else config.dtype
        if (
            not asked.items() <= made_by.items()
            or made_by.get("view", "whole") != encoder.view
            or made_by.get("input_size") != list(encoder.size or made_by["input_size"])
            or layer not in (made_by.get("layer"), made_by.get("asked"))
            or config.precision not in ("auto", made_by.get("precision"))
            or (manifest.get("inputs"), manifest.get("dtype")) != (inputs, dtype)
        ):
            return False
    return not any(are_stale(path, pictures, config.max_pixels) for path in paths)


def _usable_manifest(path: Path, description: Mapping[str, Any], overwrite: bool) -> Mapping[str, Any] | None:
    manifest = read_manifest(path)
    if manifest is None or manifest.get("digest") != current_digest(path, manifest):
        if overwrite:
            return None
        fault = "has no manifest" if manifest is None else f"does not match {manifest_path(path).name}"
        raise DataError(f"{path}: already exists and {fault}; use captioner extract --overwrite to replace it")
    found = differences(manifest.get("encoder") or {}, description)
    if found and not overwrite:
        raise DataError(f"{path}: comes from another encoder ({'; '.join(found)}); use --overwrite to replace it")
    return None if found else manifest


class Reusable:
    """Features of pictures that have not changed since they were extracted, from the existing file."""

    def __init__(self, target: Target, pictures: Pictures) -> None:
        """Find unchanged pictures: same id and same size in bytes; files newer than the features are also compared.

        Raises:
            DataError: the file cannot be read.
        """
        self.places = np.full(len(pictures), -1, np.int32)  # the pictures' places in the file
        if target.manifest is None:
            return
        store = open_features(target.path)
        sources = store.sources()
        if sources is None:
            return
        found = store.ids.find_encoded(pictures.ids.encoded)
        same = (found >= 0) & (sources["bytes"][found] == pictures.bytes) & ~replaced(target.path, pictures)
        self.places[same] = found[same]
        self._store, self._sources = store, sources

    def features(self, place: int) -> np.ndarray:
        """Return a picture's features."""
        return self._store.at([self.places[place]])[0]

    def source(self, place: int) -> np.void:
        """Return the `KEPT` fields of a picture's file."""
        return self._sources[self.places[place]]


def write_target(
    target: Target,
    description: Mapping[str, Any],
    pictures: Pictures,
    partial: PartialFeatures,
    layer: int,
    reusable: Reusable,
    **manifest: Any,
) -> int:
    """Write a feature file from extracted and reused features; return its number of pictures.

    Args:
        target: the file.
        description: the encoder's description, in the precision that was used.
        pictures: the listing.
        partial: the extracted features.
        layer: the number of the layer for this file.
        reusable: features of the pictures that were not extracted.
        manifest: further content of the file's manifest.

    Raises:
        DataError: it cannot be written.
    """
    extracted = partial.extracted()
    kept = np.arange(len(pictures), dtype=np.int32)[extracted | (reusable.places >= 0)]

    def sources(part: slice) -> np.ndarray:
        found = np.zeros(len(kept[part]), KEPT)
        for row, place in enumerate(map(int, kept[part])):
            digest = (partial.source(place) if extracted[place] else reusable.source(place))["digest"]
            found[row] = pictures.bytes[place], digest
        return found

    rows = (
        partial.features(place, layer) if extracted[place] else reusable.features(place) for place in map(int, kept)
    )
    shape = tuple(description["feature_shape"])
    ids = pictures.ids if len(kept) == len(pictures) else IdIndex(pictures.ids.encoded[kept])
    content = Content(ids, rows, shape, description, target.dtype, sources)
    write_content(target.path, content, **manifest)
    return len(kept)
