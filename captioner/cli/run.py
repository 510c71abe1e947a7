"""captioner run."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import output_folder, read_recipe, recipe_options
from captioner.cli.train import require_jax, train_arguments


@click.command("run")
@output_folder("Run folder (default: runs/ and the recipe's name)")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of training processes on this machine, as in captioner train.",
)
@recipe_options
def command(output: Path | None, processes: int | None, config: str | None, assignments: tuple[str, ...]) -> None:
    """Extract, clean, train and evaluate: run every step that is missing or out of date, in order.

    \b
    Examples:
        captioner run
        captioner run -c configs/merge_vgg16.yaml -o runs/merge
        captioner run --set model.architecture=transformer -o runs/transformer
    """
    from captioner.config import ConfigError
    from captioner.stages.run import run
    from captioner.training.environment import COUNT
    from captioner.training.launch import launch

    if COUNT in os.environ:
        raise ConfigError(f"{COUNT}: captioner run ignores it; unset it and use --processes, or use captioner train")
    if processes is not None:
        require_jax("--processes")
    source, recipe = read_recipe(config, assignments)
    folder = output or Path("runs") / source.name

    def train_in(processes: int) -> None:
        if code := launch(train_arguments(folder, ["--resume"], config, assignments), processes, results=False):
            raise click.exceptions.Exit(code)  # the error has already been printed

    scores = run(recipe, folder, load_keras, None if processes is None else partial(train_in, processes))
    click.echo(scores)
