"""captioner clean."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.cli.options import read_recipe, recipe_options, say


@click.command("clean")
@click.argument("captions", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write (default: descriptions.txt).",
)
@click.option("--rules", type=click.Choice(["ptb", "classic"]), help="Cleaning rules (default: ptb).")
@click.option("--format", "form", default=None, help="Form of CAPTIONS, where it cannot be told from the content.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of pictures to compare with.")
@recipe_options
def command(
    captions: Path | None,
    output: Path | None,
    rules: str | None,
    form: str | None,
    images: Path | None,
    config: str | None,
    assignments: tuple[str, ...],
) -> None:
    """Clean the caption file CAPTIONS into one `image_id caption` a line.

    Rules: ptb (Penn Treebank words, lower case, punctuation dropped) or classic (the tutorials': words of one letter or
    with non-letters dropped too).
    """
    from captioner.data.descriptions import clean

    if captions is None or config is not None:
        _, recipe = read_recipe(config, assignments)
        captions = captions or Path(recipe.data.captions)
        output = output or (Path(recipe.data.descriptions) if recipe.data.descriptions else None)
        rules, form = rules or recipe.text.rules, form or recipe.data.format
        images = images or (Path(recipe.data.images) if recipe.data.images else None)
    clean(captions, output or Path("descriptions.txt"), rules or "ptb", form or "auto", images, say=say)
