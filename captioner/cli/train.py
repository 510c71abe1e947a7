"""captioner train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import output_folder, read_recipe, recipe_options

if TYPE_CHECKING:
    from captioner.data.dataset import Dataset
    from captioner.recipe import Recipe, Source


def checked_inputs(source: Source, recipe: Recipe, folder: Path, resume: bool, overwrite: bool) -> Dataset:
    """Run, before Keras is loaded, the checks that training repeats; return the loaded data set.

    Raises:
        ConfigError, DataError: as captioner.stages.train.train does.
    """
    from captioner.data.dataset import Dataset
    from captioner.data.unreadable import readable_part
    from captioner.encoders.layers import require_layers
    from captioner.features.store import open_features
    from captioner.run_folder import require_free
    from captioner.stages.freshness import SPLITS
    from captioner.storage import DataError
    from captioner.training.checks import require_encoder, require_features

    require_free(folder, resume, overwrite)
    if recipe.encoder.trained_to is not None:
        require_layers(recipe.encoder.backbone, (recipe.encoder.trained_to,))
    data = Dataset(recipe.data)
    captions = data.load(SPLITS)
    if recipe.data.source == "files":
        if not Path(recipe.features).is_file():
            raise DataError(f"{recipe.features}: no such file; {source.command('extract')} makes it")
        features = open_features(recipe.features, recipe.features_layout)
        require_encoder(features, recipe.encoder)
        readable, _ = readable_part(
            captions, [features], recipe.data.max_unreadable
        )  # training logs the unreadable ones
        require_features(features, readable)
    return data


@click.command("train")
@output_folder("Run folder (default: runs/ and the recipe's name)")
@click.option("--features", metavar="FILE", help="Feature file (default: the recipe's).")
@click.option("--resume", is_flag=True, help="Continue an unfinished run, or add epochs to a finished one.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace the run in the folder. A finished run is replaced only when the new one is complete.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of training processes, on this machine (for a trial) or on the cluster; needs KERAS_BACKEND=jax.",
)
@click.option("--engine", type=click.Choice(["local", "ray"]), help="Run here, or on a Ray cluster (default: local).")
@click.option(
    "--address", metavar="HOST:PORT", help="Address of the Ray cluster; without it, Ray starts on this machine."
)
@recipe_options
def command(
    output: Path | None,
    features: str | None,
    resume: bool,
    overwrite: bool,
    processes: int | None,
    engine: str | None,
    address: str | None,
    config: str | None,
    assignments: tuple[str, ...],
) -> int | None:
    """Train a captioner into a run folder.

    The vocabulary is fitted on the training split only, the best epoch is chosen on the dev split, and the test split
    is not read. An interrupted run continues with --resume.

    On JAX, several processes on one or more machines can train one captioner together: start the same command in each
    with KERAS_DISTRIBUTION_JOB_ADDRESSES (host:port of process 0), KERAS_DISTRIBUTION_NUM_PROCESSES and
    KERAS_DISTRIBUTION_PROCESS_ID set. Process 0 writes the run folder. Each process uses all of its GPUs. --engine ray
    starts the processes on a Ray cluster: one per GPU, or one per node if there are no GPUs. Every node needs this
    folder, with the data and the run folder, under the same path.

    \b
    Examples:
        captioner train -c configs/merge_vgg16.yaml -o runs/merge
        captioner train --set train.epochs=30 --set model.units=512 -o runs/longer
        captioner train -o runs/merge --resume
        captioner train -o runs/merge --resume --set train.epochs=60
        captioner train -o runs/merge --engine ray --address head:6379
    """
    from captioner.config import ConfigError
    from captioner.stages.resume import is_complete

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite: choose one")
    if engine == "local" and address is not None:
        raise ConfigError("--address: needs --engine ray; add it, or leave --address out")
    on_ray = engine == "ray" or address is not None
    source, recipe = read_recipe(config, assignments)
    if features is not None:
        recipe = replace(recipe, features=features)
    folder = output or Path("runs") / source.name
    if resume and is_complete(folder, recipe):
        click.echo(folder)
        return None
    data = checked_inputs(source, recipe, folder, resume, overwrite)
    if processes is not None or on_ray:
        from captioner.training.launch import launch
        from captioner.training.ray_launch import launch_on_ray

        require_jax("--engine ray" if on_ray else "--processes")
        options = [*(["--resume"] if resume else []), *(["--overwrite"] if overwrite else [])]
        options += ["--features", features] if features is not None else []
        arguments = train_arguments(folder, options, config, assignments)
        if processes is not None and not on_ray:
            return launch(arguments, processes)
        launch_on_ray(arguments, folder, processes, address)
        click.echo(folder)
        return None
    load_keras()
    from captioner.stages.export import add_fast_graph
    from captioner.stages.train import train
    from captioner.stages.train_together import train_together
    from captioner.training.processes import join

    part = join()
    if part is None:
        train(folder, recipe, data=data, resume=resume, overwrite=overwrite)
    else:
        train_together(folder, recipe, part, data=data, resume=resume, overwrite=overwrite)
        if part.number:
            return None
    add_fast_graph(folder)
    click.echo(folder)
    return None


def require_jax(option: str) -> None:
    """Refuse to train in several processes on a backend other than JAX.

    Raises:
        ConfigError: with the name of the option.
    """
    from captioner.config import ConfigError
    from captioner.keras_settings import find_backend

    if find_backend() != "jax":
        raise ConfigError(f"{option}: several processes train on JAX only; set KERAS_BACKEND=jax")


def train_arguments(folder: Path, options: Sequence[str], config: str | None, assignments: Sequence[str]) -> list[str]:
    """Return the arguments of the command that each of several processes runs."""
    arguments = ["train", "-o", str(folder), *options, *(["-c", config] if config is not None else [])]
    for assignment in assignments:
        arguments += ["--set", assignment]
    return arguments
