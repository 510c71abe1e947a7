"""captioner train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import output_folder, read_recipe, recipe_options

if TYPE_CHECKING:
    from captioner.data.dataset import Dataset
    from captioner.recipe import Recipe, Source


def checked_inputs(source: Source, recipe: Recipe, folder: Path, resume: bool, overwrite: bool) -> Dataset:
    """Check before Keras is loaded what training checks again; return the data set, read.

    Raises:
        ConfigError, DataError: as captioner.stages.train.train does.
    """
    from captioner.data.dataset import Dataset
    from captioner.features.store import open_features
    from captioner.run_folder import require_free
    from captioner.stages.freshness import SPLITS
    from captioner.storage import DataError
    from captioner.training.checks import require_encoder, require_features

    require_free(folder, resume, overwrite)
    data = Dataset(recipe.data)
    captions = data.load(SPLITS)
    if recipe.data.source == "files":
        if not Path(recipe.features).is_file():
            raise DataError(f"{recipe.features}: no such file; {source.command('extract')} makes it")
        features = open_features(recipe.features, recipe.features_layout)
        require_encoder(features, recipe.encoder)
        require_features(features, captions)
    return data


@click.command("train")
@output_folder("Run folder (default: runs/ and the recipe's name)")
@click.option("--features", metavar="FILE", help="Feature file, instead of the recipe's.")
@click.option("--resume", is_flag=True, help="Go on with an unfinished run.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace what is in the run folder, a finished run only when the new one is complete.",
)
@recipe_options
def command(
    output: Path | None,
    features: str | None,
    resume: bool,
    overwrite: bool,
    config: str | None,
    assignments: tuple[str, ...],
) -> None:
    """Train a captioner into a run folder.

    The vocabulary is fitted on the training split alone, the best epoch is chosen on the dev split, and the test split
    is not read. A killed run continues with --resume.

    \b
    Examples:
        captioner train -c configs/merge_vgg16.yaml -o runs/merge
        captioner train --set train.epochs=30 --set model.units=512 -o runs/longer
        captioner train -o runs/merge --resume
    """
    from captioner.config import ConfigError

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite: choose one")
    source, recipe = read_recipe(config, assignments)
    if features is not None:
        recipe = replace(recipe, features=features)
    folder = output or Path("runs") / source.name
    data = checked_inputs(source, recipe, folder, resume, overwrite)
    load_keras()
    from captioner.stages.export import add_fast_graph
    from captioner.stages.train import train

    train(folder, recipe, data=data, resume=resume, overwrite=overwrite)
    add_fast_graph(folder)
    click.echo(folder)
