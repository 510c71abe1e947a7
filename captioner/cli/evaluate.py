"""captioner evaluate."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.generation import assigned_generation, generation_options, option_of
from captioner.cli.options import ModelName, NamedPath, allow_download, output_folder, read_recipe
from captioner.cli.scoring import metric_names, scoring_options

if TYPE_CHECKING:
    from captioner.data.dataset import Dataset
    from captioner.loading import Named
    from captioner.metrics.scorer import Scores
    from captioner.recipe import Recipe

logger = logging.getLogger(__name__)

LONGEST_NAME = 100  # of an evaluation's folder


@click.command("evaluate")
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=ModelName())
@click.option(
    "-c", "--config", metavar="RECIPE", help="Recipe with the data to caption, for a KerasHub model (hub:PRESET)."
)
@click.option("--split", metavar="NAME", help="Split to caption (default: the recipe's evaluation.split, or dev).")
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    help="Captions per picture, for the metric oracle (default: the recipe's evaluation.n, or 1).",
)
@click.option("--features", metavar="FILE", help="Feature file (default: the run's).")
@click.option("--captions", metavar="FILE", help="Caption file with the references (default: the run's).")
@click.option("-P", "--predictions", type=NamedPath(), help="File of captions made elsewhere, to score.")
@scoring_options("the recipe's, or ")
@click.option("--parallel", is_flag=True, help="The single -R file contains plain captions, one line per prediction.")
@click.option("--all", "every", is_flag=True, help="Fail if a reference has no prediction.")
@click.option("--training", metavar="FILE", type=NamedPath(), help="Training captions, for diversity.")
@click.option("--confidence", is_flag=True, help="Add 95 % confidence intervals (bootstrap over the pictures).")
@output_folder("Folder for the results (default: evaluations/ in the run folder and the name)")
@click.option("--name", help="Name of the evaluation (default: its split and the settings changed from the recipe).")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the run's recipe, such as data.splits.test=lists/test.txt. Can be repeated.",
)
@allow_download
@generation_options
def command(
    runs: tuple[Named, ...],
    config: str | None,
    split: str | None,
    count: int | None,
    features: str | None,
    captions: str | None,
    predictions: Path | None,
    references: tuple[Path, ...],
    metrics: str | None,
    cider_df: str | None,
    parallel: bool,
    every: bool,
    training: Path | None,
    confidence: bool,
    output: Path | None,
    name: str | None,
    assignments: tuple[str, ...],
    generation: dict[str, Any],
) -> None:
    """Caption a split with the captioner of the run folder RUN and score it against the raw references.

    Without RUN, the newest run under runs/ is used. Several runs caption together, as an ensemble. With -P and -R,
    captions made elsewhere are scored. Writes scores.json, per_image.csv, and predictions.json in COCO's results
    format.

    \b
    Examples:
        captioner evaluate runs/merge --split test
        captioner evaluate runs/merge --beam-size 1 --metrics bleu,cider
        captioner evaluate -P captions.json -R references.txt -o scores
        captioner evaluate hub:FOLDER -c recipe.yaml --split dev -o scores
    """
    from captioner.config import ConfigError

    if (predictions is None) != (not references):
        raise ConfigError("--predictions and --references: give both")
    here = {
        "name": name,
        "set": assignments or None,
        "split": split,
        "n": count,
        "features": features,
        "captions": captions,
        **generation,
    }
    elsewhere = {"parallel": parallel or None, "all": every or None, "training": training}
    for option, value in (here if predictions is not None else elsewhere).items():
        if value is not None:
            part = "scoring --predictions" if predictions is not None else "captioning a split"
            raise ConfigError(f"{option_of(option)}: does not apply to {part}; leave it out")
    if predictions is not None and runs:
        raise ConfigError("--predictions: scores captions made elsewhere; leave the run folder out")
    if predictions is not None and output is None:
        raise ConfigError("-o: missing; name the folder for the results")
    if len(runs) > 1 and features is not None:
        raise ConfigError("--features: names one file, but each run of an ensemble has its own; leave it out")
    if len(runs) > 1 and output is None:
        raise ConfigError("-o: missing; name the folder for the results of several runs")
    given = {"split": split, "metrics": metric_names(metrics), "n": count, "cider_df": cider_df}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if confidence:
        changes["confidence"] = True
    if predictions is not None and output is not None:
        click.echo(_score_files(predictions, references, changes, output, parallel, every, training))
        return
    from captioner.hub.names import is_hub
    from captioner.results import describe_scores

    if any(map(is_hub, runs)):
        _require_hub_options(runs, output, {"features": features, "name": name})
        evaluated = _evaluate_hub(str(runs[0]), config, assignments, captions, changes, generation, Path(output or ""))
    elif config is not None:
        raise ConfigError("--config: a run folder holds its own recipe; leave it out, or change settings with --set")
    else:
        evaluated = _evaluate_runs(
            [Path(run) for run in runs], assignments, features, captions, changes, generation, output, name
        )
    scores, folder = evaluated
    logger.info(f"results written to {folder}")
    click.echo(describe_scores(scores.corpus, scores.intervals))


def _evaluate_runs(
    runs: Sequence[Path],
    assignments: tuple[str, ...],
    features: str | None,
    captions: str | None,
    changes: dict[str, Any],
    generation: dict[str, Any],
    output: Path | None,
    name: str | None,
) -> tuple[Scores, Path]:
    """Evaluate the captioners of run folders; return the scores and the folder of the results."""
    from captioner.recipe import read_run
    from captioner.run_folder import CONFIG, evaluation_folder, newest_run, require_finished

    run, *others = runs or [newest_run()]
    for other in others:
        require_finished(other)
    _require_effect(assignments)
    recipe = _changed(read_run(run, assignments), captions, changes)
    generation = {**assigned_generation(assignments, recipe), **generation}
    if features is not None:
        recipe = replace(recipe, features=features)
    _check_features(recipe, run / CONFIG)
    data = _checked_data(recipe, run / CONFIG)
    given = {"features": features, "captions": captions, **changes, **generation}
    output = output or evaluation_folder(run, name or _name_of(recipe.evaluation.split, given))
    load_keras()
    from captioner.stages.evaluate import evaluate_run

    return evaluate_run(run, recipe, output, generation, others=others, data=data), output


def _require_effect(assignments: Sequence[str]) -> None:
    """Refuse settings that only apply to training. Raises ConfigError, which names the section."""
    from captioner.config import ConfigError, override

    for section in ("model", "train", "text", "extraction"):
        if section in override({}, assignments):
            raise ConfigError(f"--set {section}: changes nothing in an evaluation; leave it out, or train another run")


def _evaluate_hub(
    model: str,
    config: str | None,
    assignments: tuple[str, ...],
    captions: str | None,
    changes: dict[str, Any],
    generation: dict[str, Any],
    output: Path,
) -> tuple[Scores, Path]:
    """Evaluate a KerasHub model on the data of a recipe; return the scores and the folder of the results."""
    _require_effect(assignments)
    source, recipe = read_recipe(config, assignments)
    recipe = _changed(recipe, captions, changes)
    generation = {**assigned_generation(assignments, recipe), **generation}
    data = _checked_data(recipe, source.path)
    load_keras()
    from captioner.stages.evaluate_hub import evaluate_hub

    return evaluate_hub(model, recipe, output, generation, data), output


def _changed(recipe: Recipe, captions: str | None, changes: dict[str, Any]) -> Recipe:
    if captions is not None:
        recipe = replace(recipe, data=replace(recipe.data, captions=captions, format="auto"))
    return replace(recipe, evaluation=replace(recipe.evaluation, **changes))


def _require_hub_options(runs: Sequence[Named], output: Path | None, without: Mapping[str, Any]) -> None:
    """Refuse, before Keras is loaded, options that do not apply to a KerasHub model, which has no run folder.

    Raises:
        ConfigError, DataError: with the name of the option or model.
    """
    from captioner.config import ConfigError
    from captioner.loading import require_model

    for option, value in without.items():
        if value is not None:
            raise ConfigError(f"--{option}: needs a run folder, but a KerasHub model has none; leave it out")
    if len(runs) > 1:
        raise ConfigError("a KerasHub model cannot be part of an ensemble; name it without other models")
    if output is None:
        raise ConfigError("-o: missing; name the folder for the results of a KerasHub model")
    require_model(runs[0])


def _check_features(recipe: Recipe, where: Path) -> None:
    """Check, before Keras is loaded, that a run's feature file can be opened, if there is one."""
    from captioner.features.store import open_features
    from captioner.recipe_paths import require_there

    require_there(recipe.features, "features", where, "--features")
    if recipe.data.source == "files":
        open_features(recipe.features, recipe.features_layout)


def _checked_data(recipe: Recipe, where: Path) -> Dataset:
    """Check, before Keras is loaded, that the recipe's data files exist; return the data set.

    Raises:
        ConfigError, DataError: as captioner.stages.evaluate.evaluate_run does.
    """
    from captioner.data.dataset import Dataset
    from captioner.metrics.config import require_choice
    from captioner.recipe_paths import require_there

    require_choice(recipe.evaluation)
    sources = recipe.data.captions
    for source in [sources] if isinstance(sources, str) else sources:
        require_there(source, "data.captions", where, "--captions")
    split = recipe.evaluation.split
    if split in recipe.data.lists:
        option = f"--set data.splits.{split}=FILE"
        require_there(recipe.data.lists[split], f"data.splits.{split}", where, option)
    data = Dataset(recipe.data)
    data.load((split,))
    return data


def _name_of(split: str, given: Mapping[str, Any]) -> str:
    """Return the name of an evaluation: its split and the settings that were changed from the recipe."""
    asked = {key: value for key, value in given.items() if key != "split" and value is not None and value is not False}
    if asked.get("groups") == 1:  # sampling implies it
        del asked["groups"]
    parts = [
        split,
        *(f"{key}-{','.join(value) if isinstance(value, tuple) else value}" for key, value in asked.items()),
    ]
    from captioner.storage import digest_bytes

    whole = "_".join(parts)
    name = re.sub(r"[^\w.,-]+", "-", whole)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{digest_bytes(whole.encode())[:8]}"


def _score_files(
    predictions: Path,
    references: tuple[Path, ...],
    changes: dict[str, Any],
    output: Path,
    parallel: bool,
    every: bool,
    training: Path | None,
) -> str:
    from captioner.metrics.config import EvaluationConfig
    from captioner.results import describe_scores
    from captioner.stages.score import score_files

    config = EvaluationConfig(**changes)
    scores = score_files(predictions, references, config, output, parallel=parallel, every=every, training=training)
    return describe_scores(scores.corpus, scores.intervals)
