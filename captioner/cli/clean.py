"""captioner clean."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from captioner.cli.options import NamedPath, read_recipe, recipe_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from captioner.stages.clean import CleanResult

logger = logging.getLogger(__name__)

LIST = "list"


@click.command("clean")
@click.argument("captions", nargs=-1, type=NamedPath())
@click.option(
    "-o",
    "--output",
    type=NamedPath(dir_okay=False),
    help="Where to write (default: the recipe's, or descriptions.txt).",
)
@click.option(
    "--rules", type=click.Choice(["ptb", "classic", "lower"]), help="Cleaning rules (default: the recipe's, or ptb)."
)
@click.option(
    "--format",
    "form",
    metavar="NAME",
    help=f"Format of CAPTIONS; `--format {LIST}` shows all (default: detected from the content).",
)
@click.option("--images", type=NamedPath(), help="Folder of pictures to compare with.")
@click.option("--stats", is_flag=True, help="Print statistics of the captions: counts, lengths, vocabulary.")
@click.option("--plot", type=NamedPath(dir_okay=False), help="Plot them: FILE.png, .svg or .pdf.")
@click.option(
    "--features",
    type=NamedPath(dir_okay=False),
    help="Also write the features that CAPTIONS contains (CS231n's HDF5) to this file.",
)
@recipe_options
def command(
    captions: tuple[Path, ...],
    output: Path | None,
    rules: str | None,
    form: str | None,
    images: Path | None,
    stats: bool,
    plot: Path | None,
    features: Path | None,
    config: str | None,
    assignments: tuple[str, ...],
) -> None:
    """Clean CAPTIONS into lines of `image_id caption`.

    CAPTIONS is a file or a folder in any supported format, or several of one data set.

    Rules: ptb (Penn Treebank words, lower case, no punctuation), classic (as in many tutorials: words of one letter or
    with non-letters are also dropped) or lower (Unicode words of any script, in lower case; single letters for scripts
    without spaces).

    \b
    Examples:
        captioner clean captions.csv
        captioner clean Flickr8k.token.txt --rules classic -o descriptions.txt --stats
    """
    if form == LIST:
        _list_formats()
        return
    from captioner.data.dataset import DataConfig, Dataset
    from captioner.stages.clean import clean, is_cleaned

    if plot is not None:
        from captioner.plots.statistics import require_plot

        require_plot(plot)
    recipe = None
    if not captions or config is not None:
        _, recipe = read_recipe(config, assignments)
        data = recipe.data
        output = output or (Path(data.descriptions) if data.descriptions else None)
        rules = rules or recipe.text.rules
        images = images or (Path(data.images) if data.images else None)
        data = replace(data, captions=tuple(map(str, captions)) or data.captions, format=form or data.format)
    else:
        data = DataConfig(captions=tuple(map(str, captions)), format=form or "auto")
    dataset = Dataset(data)
    output, rules = output or Path("descriptions.txt"), rules or "ptb"
    if not (stats or plot or features) and is_cleaned(output, rules, dataset, images):
        return
    if features is not None:
        _import_features(captions, features)
    result = clean(data.captions, output, rules, data.format, images, dataset)
    if stats or plot is not None:
        # Without a recipe, no lists of splits are written; a recipe's missing lists are created.
        splits = dataset.whole.splits if recipe is None else dataset.load(dataset.present_splits()).splits
        _show(result, splits, stats, plot)


def _list_formats() -> None:
    from captioner.data.readers.detect import READERS

    margin = max(map(len, READERS))
    for name, form in READERS.items():
        click.echo(f"{name:<{margin}}  {form.looks}")


def _import_features(captions: tuple[Path, ...], features: Path) -> None:
    from captioner.config import ConfigError
    from captioner.data.readers.cs231n import import_features

    if len(captions) != 1:
        raise ConfigError("--features: give exactly one CAPTIONS, the HDF5 file that contains the features")
    source = import_features(captions[0], features)
    logger.info(f"{features}: wrote the features of {source}")


def _show(result: CleanResult, splits: Mapping[str, tuple[str, ...]], stats: bool, plot: Path | None) -> None:
    from captioner.data.statistics import describe, measure
    from captioner.plots.statistics import plot as draw

    statistics = measure(result.text, splits, result.without_captions)
    if stats:
        click.echo(describe(statistics))
    if plot is not None:
        draw(statistics, plot)
        logger.info(f"{plot}: drawn")
