"""captioner extract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import read_recipe, recipe_options, say


@click.command("extract")
@click.argument("images", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Feature file: .pkl, or .h5 for grids."
)
@click.option("--encoder", metavar="NAME", help="Network, such as vgg16 or efficientnet_lite0.")
@click.option("--layer", metavar="NAME", help="pool, grid, or an inner layer such as fc2 or block5_pool.")
@click.option("--weights", metavar="WHICH", help="imagenet, or the path of a weights file.")
@click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be read.")
@click.option("--overwrite", is_flag=True, help="Replace features of another encoder.")
@recipe_options
def command(
    images: Path | None,
    output: Path | None,
    encoder: str | None,
    layer: str | None,
    weights: str | None,
    strict: bool,
    overwrite: bool,
    config: str | None,
    assignments: tuple[str, ...],
) -> None:
    """Encode the pictures of the folder IMAGES into a feature file.

    A picture that cannot be read is passed over and named. A killed extraction goes on where it stopped.
    """
    load_keras()
    from captioner.config import ConfigError
    from captioner.vision.encoders import EncoderConfig
    from captioner.vision.extraction import ExtractionConfig, extract

    given = {"backbone": encoder, "layer": layer, "weights": weights}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if images is not None and config is None:
        if assignments:
            raise ConfigError("--set: belongs to a recipe; name it with -c, or leave IMAGES out")
        features = output or Path("features.pkl")
        encoding, extraction = EncoderConfig(**changes), ExtractionConfig()
    else:
        _, recipe = read_recipe(config, assignments)
        folder = images or (Path(recipe.data.images) if recipe.data.images else None)
        if folder is None:
            raise ConfigError("data.images: missing; name the folder of pictures")
        images, features = folder, output or Path(recipe.features)
        encoding, extraction = replace(recipe.encoder, **changes), recipe.extraction
    extract(images, features, encoding, extraction, strict=strict, overwrite=overwrite, say=say)
