"""captioner merge-features."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import NamedPath


@click.command("merge-features")
@click.argument("parts", nargs=-1, required=True, type=NamedPath(dir_okay=False))
@click.option(
    "-o",
    "--output",
    required=True,
    type=NamedPath(dir_okay=False),
    help="Feature file to write: .pkl, or .h5 for grids.",
)
@click.option("--overwrite", is_flag=True, help="Replace features of another encoder.")
def command(parts: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """Merge the feature files PARTS into one.

    Merging the shards of an extraction (captioner extract --shard 1/4, 2/4, ...) gives the same file as an extraction
    without shards. Other files must come from the same encoder and have no picture in common.

    \b
    Examples:
        captioner merge-features features/pool-*.pkl -o features/pool.pkl
    """
    load_keras()
    from captioner.extraction.merging import merge_features

    merge_features(parts, output, overwrite=overwrite)
