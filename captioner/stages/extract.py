"""Encode a folder of pictures into feature files; files that are up to date are not encoded again."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import Encoder, build_encoder
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.outputs import Target, find_target, output_paths
from captioner.extraction.partial import PartialFeatures
from captioner.extraction.run import ExtractionResult, ExtractionRun
from captioner.extraction.staleness import are_stale
from captioner.features.skipped import skipped_path
from captioner.features.store import check_target
from captioner.images.listing import Pictures, find_pictures
from captioner.storage import DataError

logger = logging.getLogger(__name__)


def extract(
    images: str | Path,
    output: str | Path | Sequence[Path],
    encoder: EncoderConfig,
    config: ExtractionConfig | None = None,
    *,
    layers: Sequence[str] = (),
    shard: tuple[int, int] | None = None,
    strict: bool = False,
    overwrite: bool = False,
) -> ExtractionResult:
    """Encode every picture under `images`; an interrupted extraction continues where it stopped.

    Pictures that cannot be read are skipped and listed in `<output>.skipped.csv`. An output of the same encoder and
    pictures (by id, path and size in bytes) is left unchanged. If some pictures are new or changed, only those are
    encoded.

    Args:
        images: a folder, searched recursively.
        output: a `.pkl` or `.h5` file; for several layers one file each, or one whose name is extended by the layers'.
        encoder: network, layer and resizing.
        config: batches, threads, precision and engine.
        layers: layers to compute in one pass, instead of the encoder's layer.
        shard: (index, count): encode only part `index` of `count`, from 1 on; the shard is added to the files' names.
        strict: write no output if a picture cannot be read.
        overwrite: replace an output of another encoder, or of unknown origin.

    Raises:
        ConfigError: impossible settings.
        DataError: no pictures, no weights, a broken picture if `strict`, every picture broken, an output that would
            have to be overwritten or that another process is writing, or a full disk.
    """
    began = time.monotonic()
    config, layers = config or ExtractionConfig(), tuple(layers) or (encoder.layer,)
    paths = output_paths(output, layers, shard)
    pictures = find_pictures(images)
    about: dict[str, Any] = {}
    if shard is not None:
        about = {"shard": {"part": shard[0], "of": shard[1], "whole": pictures.digest()}}
        pictures = pictures.shard(*shard)
    partial = PartialFeatures(paths[0].with_name(paths[0].name + ".partial"))
    try:
        wide = build_encoder(encoder, layers=layers)
        targets = _find_targets(paths, wide, pictures, config, overwrite)
        run = ExtractionRun(Path(images), pictures, targets, partial, wide, config)
        if not run.goes_on:
            unfinished = [target for target in targets if not target.finished]
            for target in targets:
                if target.finished:
                    logger.info(f"{target.path}: up to date ({_held(target)})")
            if not unfinished:
                return _up_to_date(targets, strict)
            if len(unfinished) < len(targets):
                left = [layers[targets.index(target)] for target in unfinished]
                wide = build_encoder(encoder, layers=left)
                run = ExtractionRun(Path(images), pictures, unfinished, partial, wide, config)
        return run.run(began, strict, about)
    finally:
        partial.close()


def _find_targets(
    paths: Sequence[Path], encoder: Encoder, pictures: Pictures, config: ExtractionConfig, overwrite: bool
) -> list[Target]:
    inputs, targets = pictures.digest(), []
    for path, description in zip(paths, encoder.descriptions, strict=True):
        check_target(path, len(pictures), description["feature_shape"])
        target = find_target(path, description, config.dtype, inputs, config.precision, overwrite)
        if target.finished and are_stale(path, pictures, config.max_pixels):
            target = replace(target, finished=False)
        targets.append(target)
    return targets


def _held(target: Target) -> str:
    manifest = target.manifest or {}
    skipped = f", {len(manifest['skipped'])} skipped" if manifest.get("skipped") else ""
    return f"{manifest['pictures']} pictures{skipped}"


def _up_to_date(targets: Sequence[Target], strict: bool) -> ExtractionResult:
    manifest = targets[0].manifest or {}
    if strict and manifest["skipped"]:
        reason = next(iter(manifest["skipped"].values()))
        count, path = len(manifest["skipped"]), targets[0].path
        raise DataError(f"{path}: {count} pictures are missing, see {skipped_path(path).name}; the first: {reason}")
    return ExtractionResult(
        tuple(target.path for target in targets),
        manifest["pictures"],
        manifest["skipped"],
        manifest["encoder"]["precision"],
        seconds=0.0,
        up_to_date=True,
    )
