"""captioner extract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import NamedPath, read_recipe, recipe_options


def _shard(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    index, slash, count = value.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"expected I/N such as 2/8, with I from 1 to N; found {value!r}")
    return int(index), int(count)


@click.command("extract")
@click.argument("images", required=False, type=NamedPath())
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=NamedPath(dir_okay=False),
    help="Feature file: .pkl, or .h5 for grids. With several layers, give one file per layer, or one file whose name "
    "is extended by the layers' names (default: the recipe's, or features.pkl).",
)
@click.option(
    "--encoder",
    metavar="NAME",
    help="Network, such as vgg16; `captioner encoders` lists them (default: the recipe's, or efficientnet_lite2, or "
    "vgg16 without the lite extra).",
)
@click.option(
    "--layer",
    "layers",
    metavar="NAME",
    multiple=True,
    help="pool, grid, or an inner layer such as fc2 or block5_pool. Can be repeated: one pass computes all layers "
    "(default: the recipe's, or pool).",
)
@click.option(
    "--weights",
    metavar="WHICH",
    help="imagenet, or the path of a weights file (default: the recipe's, or imagenet).",
)
@click.option(
    "--input-size",
    type=int,
    metavar="PIXELS",
    help="Height and width that pictures are resized to. Larger ones give more regions and take longer (default: the "
    "recipe's, or the size that the network was trained on).",
)
@click.option(
    "--resizing",
    type=click.Choice(["whole", "crop", "pad"]),
    help="Squeeze the whole picture, crop its middle, or pad it with black (default: the recipe's, or whole).",
)
@click.option(
    "--view",
    type=click.Choice(("whole", "flip", "crop", "flip-crop")),
    help="Flip or crop each picture before encoding, for additional training features (default: the recipe's, or "
    "whole).",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    help="Run here, or on a Ray cluster (default: the recipe's, or local).",
)
@click.option(
    "--address", metavar="HOST:PORT", help="Address of the Ray cluster; without it, Ray starts on this machine."
)
@click.option("--shard", metavar="I/N", callback=_shard, help="Encode part I of N, for captioner merge-features.")
@click.option("--verify", is_flag=True, help="Check the file, its pictures and its encoder; write nothing.")
@click.option("--strict", is_flag=True, help="If a picture cannot be read, write no file and exit with 1.")
@click.option("--overwrite", is_flag=True, help="Replace features of another encoder.")
@recipe_options
def command(
    images: Path | None,
    outputs: tuple[Path, ...],
    encoder: str | None,
    layers: tuple[str, ...],
    weights: str | None,
    input_size: int | None,
    resizing: str | None,
    view: str | None,
    engine: str | None,
    address: str | None,
    shard: tuple[int, int] | None,
    verify: bool,
    strict: bool,
    overwrite: bool,
    config: str | None,
    assignments: tuple[str, ...],
) -> None:
    """Encode the pictures of the folder IMAGES into a feature file.

    Pictures that cannot be read are skipped and listed in FILE.skipped.csv. An interrupted extraction continues where
    it stopped. If the folder has changed, only the new pictures are encoded.

    \b
    Examples:
        captioner extract
        captioner extract -c configs/merge_vgg16.yaml
        captioner extract photos -o features/photos.h5 --encoder efficientnet_lite0 --layer grid
    """
    from captioner.config import ConfigError
    from captioner.encoders.config import EncoderConfig
    from captioner.encoders.layers import require_layers
    from captioner.extraction.config import ExtractionConfig
    from captioner.images.walk import require_folder
    from captioner.stages.freshness import is_extracted

    settings: dict[str, Any] = {"backbone": encoder, "layer": layers[0] if layers else None, "weights": weights}
    settings |= {"input_size": input_size, "resizing": resizing, "view": view}
    changes = {name: value for name, value in settings.items() if value is not None}
    running: dict[str, Any] = {} if engine is None else {"engine": engine}
    if address is not None:
        running = {"engine": "ray", **running, "address": address}
    if images is not None and config is None:
        if assignments:
            raise ConfigError("--set: changes a recipe; name the recipe with -c, or leave IMAGES out")
        features = outputs or (Path("features.pkl"),)
        encoding, extraction = EncoderConfig(**changes), ExtractionConfig(**running)
    else:
        _, recipe = read_recipe(config, assignments)
        folder = images or (Path(recipe.data.images) if recipe.data.images else None)
        if folder is None:
            raise ConfigError("data.images: missing; name the folder of pictures")
        images, features = folder, outputs or (Path(recipe.features),)
        encoding, extraction = replace(recipe.encoder, **changes), replace(recipe.extraction, **running)
    require_folder(images)
    require_layers(encoding.backbone, layers or (encoding.layer,))
    if verify:
        load_keras()
        from captioner.extraction.outputs import output_paths
        from captioner.extraction.verification import verify as check

        for path in output_paths(features, layers or (encoding.layer,), shard):
            check(path, images)
        return
    if shard is None and not strict and is_extracted(images, features, encoding, extraction, layers):
        return
    load_keras()
    from captioner.stages.extract import extract

    extract(images, features, encoding, extraction, layers=layers, shard=shard, strict=strict, overwrite=overwrite)
