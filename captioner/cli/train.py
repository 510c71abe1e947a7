"""captioner train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import output_folder, read_recipe, recipe_options


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
    is not read. A killed run goes on with --resume.
    """
    load_keras()
    from captioner.config import ConfigError
    from captioner.stages.export import add_fast_graph
    from captioner.stages.train import train

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite: choose one")
    source, recipe = read_recipe(config, assignments)
    if features is not None:
        recipe = replace(recipe, features=features)
    folder = output or Path("runs") / source.name
    train(folder, recipe, resume=resume, overwrite=overwrite)
    add_fast_graph(folder)
    click.echo(folder)
