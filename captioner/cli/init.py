"""captioner init."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.cli.options import NamedPath


@click.command("init")
@click.argument("folder", type=NamedPath())
@click.argument("captions", required=False, type=NamedPath())
@click.option(
    "-o",
    "--output",
    type=NamedPath(dir_okay=False),
    default=Path("captioner.yaml"),
    show_default=True,
    help="Recipe file to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing recipe.")
def command(folder: Path, captions: Path | None, output: Path, overwrite: bool) -> None:
    """Look at the pictures in FOLDER and write a recipe for them, with comments.

    CAPTIONS is their caption file, in any format that captioner clean reads. Without CAPTIONS, init looks for a caption
    file in FOLDER and beside it, and for text files beside the pictures. If it finds no lists of train and dev
    pictures, the recipe divides the pictures by shares.

    \b
    Examples:
        captioner init photos
        captioner init photos captions.csv
        captioner init photos -o holidays.yaml
    """
    from captioner.stages.init import init

    init(folder, captions, output, overwrite)
    click.echo(output)
