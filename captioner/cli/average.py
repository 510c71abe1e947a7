"""captioner average."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import NamedPath


@click.command("average")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=NamedPath())
@click.option(
    "-o",
    "--output",
    required=True,
    type=NamedPath(file_okay=False),
    metavar="FOLDER",
    help="Run folder for the averaged captioner.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a generation setting: --set generation.consensus=6.",
)
@click.option("--overwrite", is_flag=True, help="Replace the run in the folder.")
def command(runs: tuple[Path, ...], output: Path, assignments: tuple[str, ...], overwrite: bool) -> None:
    """Average the weights of several runs into one captioner.

    If the RUNs began from the same weights (train.begin_from) and differ in seed, epochs or settings, their average
    often captions better than each of them, and is as fast as one. It is scored on the dev split of the first run's
    recipe.

    \b
    Examples:
      captioner average runs/fine_tuned runs/fine_tuned_seed1 -o runs/mean
      captioner evaluate runs/mean
      captioner average runs/a runs/b -o runs/mean --set generation.beam_size=10 --set generation.consensus=6
    """
    from captioner.config import ConfigError
    from captioner.run_folder import require_finished, require_free

    if len(runs) < 2:
        raise ConfigError("average: needs at least two runs")
    for assignment in assignments:
        if not assignment.startswith("generation."):
            raise ConfigError(f"--set {assignment}: only settings of generation can be changed after training")
    for run in runs:
        require_finished(run)
    require_free(output, resume=False, overwrite=overwrite)
    load_keras()
    from captioner.stages.average import average
    from captioner.stages.export import add_fast_graph

    average(output, runs, assignments, overwrite=overwrite)
    add_fast_graph(output)
    click.echo(output)
