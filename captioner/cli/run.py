"""captioner run."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import output_folder, read_recipe, recipe_options


@click.command("run")
@output_folder("Run folder (default: runs/ and the recipe's name)")
@recipe_options
def command(output: Path | None, config: str | None, assignments: tuple[str, ...]) -> None:
    """Extract, clean, train and evaluate: whatever is missing or out of date, in order.

    \b
    Examples:
        captioner run
        captioner run -c configs/merge_vgg16.yaml -o runs/merge
        captioner run --set model.architecture=transformer -o runs/transformer
    """
    from captioner.stages.run import run

    source, recipe = read_recipe(config, assignments)
    scores = run(recipe, output or Path("runs") / source.name, load_keras)
    click.echo(scores)
