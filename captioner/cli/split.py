"""captioner split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from captioner.cli.options import NamedPath, output_folder, read_recipe, recipe_options

if TYPE_CHECKING:
    from captioner.data.dataset import DataConfig


@click.command("split")
@click.argument("captions", nargs=-1, type=NamedPath())
@output_folder("Folder for the lists (default: splits)")
@click.option("--images", type=NamedPath(), help="Folder of pictures; similar pictures go into the same list.")
@click.option(
    "--shares",
    metavar="NAMES",
    help="Shares of the pictures (default: the recipe's, or train=0.8,dev=0.1,test=0.1, or with fewer than 200 "
    "pictures train=0.75,dev=0.25).",
)
@click.option("--seed", type=int, help="Seed of the random division (default: the recipe's, or 0).")
@click.option("--check", is_flag=True, help="Look for the same picture in two splits, by content.")
@recipe_options
def command(
    captions: tuple[Path, ...],
    output: Path | None,
    images: Path | None,
    shares: str | None,
    seed: int | None,
    check: bool,
    config: str | None,
    assignments: tuple[str, ...],
) -> None:
    """Divide the pictures of CAPTIONS at random into lists: train.txt, dev.txt, test.txt.

    A recipe can do the same: `data.splits: {train: 0.8, dev: 0.1, test: 0.1}`. Without CAPTIONS, the pictures of the
    recipe are divided. --check writes nothing. It looks for one picture under two names in the recipe's splits, or in
    the splits that CAPTIONS contains, and fails if it finds one.

    \b
    Examples:
        captioner split captions.csv --images photos -o splits
        captioner split -c recipe.yaml --check
    """
    from dataclasses import replace

    from captioner.config import ConfigError
    from captioner.data.dataset import DataConfig, read_captions
    from captioner.data.splits import default_shares, write_splits

    if captions and config is None:
        data = DataConfig(captions=tuple(map(str, captions)), images=None if images is None else str(images))
    else:
        data = read_recipe(config, assignments)[1].data
        data = replace(
            data,
            captions=tuple(map(str, captions)) or data.captions,
            images=str(images) if images is not None else data.images,
        )
    if check:
        if shares is not None or output is not None:
            raise ConfigError("--check: writes nothing; leave out --shares and -o")
        _check(data)
        return
    wanted = _read_shares(shares) if shares is not None else data.shares or None
    seed = data.split_seed if seed is None else seed
    references = read_captions(data.captions, data.format)
    shares_of_each = wanted or default_shares(len(references))
    write_splits(output or Path("splits"), references, shares_of_each, seed, data.images, data.near_duplicates)


def _check(data: DataConfig) -> None:
    from captioner.config import ConfigError
    from captioner.data.dataset import Dataset
    from captioner.data.splits import require_different

    if data.images is None:
        raise ConfigError("--images: missing; name the folder of pictures to compare")
    dataset = Dataset(data)
    if data.shares or not (data.splits or dataset.whole.splits):
        raise ConfigError("--check: needs lists of pictures, or captions with splits; shares have no lists to check")
    splits = dataset.load(dataset.present_splits()).splits
    if len(splits) < 2:
        raise ConfigError(f"--check: needs at least two splits, found {', '.join(splits) or 'none'}")
    compared = require_different(splits, data.images)
    click.echo(f"no picture is in two splits, not even under two names; {compared:,} pictures compared")


def _read_shares(text: str) -> dict[str, float]:
    from captioner.config import ConfigError

    shares = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        if name.strip() in shares:
            raise ConfigError(f"--shares {text}: {name.strip()} is named twice")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise ConfigError(f"--shares {text}: expected name=share,..., such as train=0.9,dev=0.1") from None
    return shares
