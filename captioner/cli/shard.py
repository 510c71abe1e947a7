"""captioner shard."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import NamedPath, read_recipe, recipe_options


@click.command("shard")
@click.option(
    "-o",
    "--output",
    required=True,
    type=NamedPath(file_okay=False),
    metavar="FOLDER",
    help="Folder for the shards.",
)
@click.option("--pictures", is_flag=True, help="Put the pictures into the shards instead of their features.")
@click.option(
    "--per-shard",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Maximum number of pictures in a shard.",
)
@click.option("--overwrite", is_flag=True, help="Replace shards of other data.")
@recipe_options
def command(
    output: Path,
    pictures: bool,
    per_shard: int,
    overwrite: bool,
    config: str | None,
    assignments: tuple[str, ...],
) -> None:
    """Write a recipe's features and captions into TFRecord shards.

    Training streams them from a disk or from cloud storage: set data.source to tfrecord, features to the folder, and
    data.captions to captions.json in it. Run the same command again to continue an interrupted run.

    \b
    Examples:
      captioner shard -c configs/attention.yaml -o shards
      captioner train -c configs/attention.yaml --set data.source=tfrecord --set features=shards
    """
    _, recipe = read_recipe(config, assignments)
    load_keras()
    from captioner.data.dataset import Dataset
    from captioner.data.unreadable import without_unreadable
    from captioner.features.store import open_features
    from captioner.stages.shard import shard

    data = Dataset(recipe.data)
    captions = data.load(data.present_splits())
    features = None
    if not pictures:
        features = open_features(recipe.features, recipe.features_layout)
        captions = without_unreadable(captions, [features], recipe.data.max_unreadable)
    counts = shard(captions, output, features, pictures_a_shard=per_shard, overwrite=overwrite)
    click.echo(f"{output}: " + ", ".join(f"{count:,} pictures of {split}" for split, count in counts.items()))
