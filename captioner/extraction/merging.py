"""Merges the feature files of several extractions, such as the shards of one, into one file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from captioner.encoders.config import differences
from captioner.extraction.outputs import find_target
from captioner.extraction.partial import PartialFeatures
from captioner.features.formats import Content, Storage
from captioner.features.skipped import write_skipped
from captioner.features.store import FeatureStore, check_target, open_features, write_content
from captioner.images.index import IdIndex
from captioner.storage import DataError, manifest_path, read_manifest

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class MergedPart:
    """A feature file to merge.

    Attributes:
        store: its features.
        manifest: its manifest.
    """

    store: FeatureStore
    manifest: Mapping[str, Any]


def merge_features(parts: Sequence[Path], output: Path, *, overwrite: bool = False) -> int:
    """Merge the features of several files into one; return its number of pictures.

    Merging all shards of an extraction gives the same file as the undivided extraction.

    Args:
        parts: feature files of one encoder; no picture is in two of them.
        output: a `.pkl` or `.h5` file.
        overwrite: replace an output of another encoder, or of unknown origin.

    Raises:
        DataError: a part is missing or broken, from another encoder than the first, or shares a picture with another;
            a shard is missing; or the output would have to be overwritten or is being written by another process.
    """
    opened = [_open(path) for path in parts]
    first = opened[0]
    for part in opened[1:]:
        if found := differences(first.manifest["encoder"], part.manifest["encoder"]):
            raise DataError(
                f"{part.store.path}: comes from another encoder than {first.store.path} ({'; '.join(found)}); "
                "extract it again with the same encoder"
            )
    inputs = _whole(opened)
    dtype: Storage = "float16" if all(part.manifest["dtype"] == "float16" for part in opened) else "float32"
    check_target(output, sum(len(part.store) for part in opened), first.store.shape)
    lock = PartialFeatures(output.with_name(output.name + ".partial"))
    try:
        target = find_target(output, first.manifest["encoder"], dtype, inputs or "", "auto", overwrite)
        if target.finished and target.manifest is not None:
            logger.info(f"{output}: up to date ({target.manifest['pictures']} pictures)")
            return target.manifest["pictures"]
        precisions = sorted({part.manifest["encoder"]["precision"] for part in opened})
        if len(precisions) > 1:
            logger.info(f"the parts were made in {' and '.join(precisions)}; their features are similar, but not equal")
        skipped = {name: why for part in opened for name, why in (part.manifest.get("skipped") or {}).items()}
        skipped = {name: skipped[name] for name in sorted(skipped, key=str.encode)}
        content = _merged(opened, target.dtype)
        write_skipped(output, skipped)
        facts = {
            **({} if inputs is None else {"inputs": inputs}),
            "skipped": skipped,
            "chosen": first.manifest.get("chosen", {}),
            "changed": {name: why for part in opened for name, why in (part.manifest.get("changed") or {}).items()},
        }
        write_content(output, content, **facts)
    finally:
        lock.close()
    left_out = f", {len(skipped)} skipped" if skipped else ""
    logger.info(f"{output}: {len(content.ids)} pictures from {len(opened)} files{left_out}")
    return len(content.ids)


def _open(path: Path) -> MergedPart:
    store, manifest = open_features(path), read_manifest(path)
    if manifest is None or not manifest.get("encoder"):
        raise DataError(f"{path}: its manifest {manifest_path(path).name} is missing; extract it again")
    return MergedPart(store, manifest)


def _whole(parts: Sequence[MergedPart]) -> str | None:
    """Return the digest of the listing that the shards belong to; None for files that are not shards.

    Raises:
        DataError: shards are from different pictures, given twice, or missing.
    """
    shards = [part.manifest.get("shard") for part in parts]
    if not any(shards):
        return None
    first, whose = next((shard, part) for shard, part in zip(shards, parts, strict=True) if shard)
    seen: dict[int, Path] = {}
    for shard, part in zip(shards, parts, strict=True):
        path = part.store.path
        if shard is None or (shard["of"], shard["whole"]) != (first["of"], first["whole"]):
            fault = f"not a shard of the same pictures as {whose.store.path}"
            raise DataError(f"{path}: {fault}; merge shards that were made from one unchanged folder")
        if shard["part"] in seen:
            raise DataError(
                f"{path}: shard {shard['part']} of {shard['of']}, like {seen[shard['part']]}; name only one of them"
            )
        seen[shard["part"]] = path
    if missing := [index for index in range(1, first["of"] + 1) if index not in seen]:
        raise DataError(
            f"{whose.store.path}: shard {missing[0]} of {first['of']} is missing; name its file too, or make "
            f"it: captioner extract --shard {missing[0]}/{first['of']}"
        )
    return first["whole"]


def _merged(parts: Sequence[MergedPart], dtype: Storage) -> Content:
    encoded = np.concatenate([part.store.ids.encoded for part in parts])  # (pictures,)
    whose = np.repeat(np.arange(len(parts)), [len(part.store) for part in parts])
    places = np.concatenate([np.arange(len(part.store)) for part in parts])
    order = np.argsort(encoded, kind="stable")
    ids, whose, places = IdIndex(encoded[order]), whose[order], places[order]
    if (same := ids.repeated()) is not None:
        one, other = (parts[whose[place]].store.path for place in same)
        raise DataError(f"{one} and {other} both have the picture {ids[same[0]]!r}; leave one of the files out")
    sources = [part.store.sources() for part in parts]
    known = [source for source in sources if source is not None]
    joined = np.concatenate(known)[order].__getitem__ if len(known) == len(parts) else None
    shape, description = parts[0].store.shape, parts[0].manifest["encoder"]
    return Content(ids, _rows(parts, whose, places), shape, description, dtype, joined)


def _rows(parts: Sequence[MergedPart], whose: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(whose), ROWS_AT_ONCE):
        owners, inner = whose[start : start + ROWS_AT_ONCE], places[start : start + ROWS_AT_ONCE]
        rows: list[np.ndarray] = [np.zeros(0)] * len(owners)
        for owner in np.unique(owners):
            mine = np.flatnonzero(owners == owner)
            for place, row in zip(mine, parts[owner].store.at(inner[mine]), strict=True):
                rows[place] = row
        yield from rows
