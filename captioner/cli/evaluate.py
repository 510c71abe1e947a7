"""captioner evaluate."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.generation import generation_options, option_of
from captioner.cli.options import output_folder
from captioner.cli.scoring import metric_names, scoring_options

if TYPE_CHECKING:
    from captioner.data.dataset import Dataset
    from captioner.recipe import Recipe

logger = logging.getLogger(__name__)


@click.command("evaluate")
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@click.option("--split", metavar="NAME", help="Split to caption (default: the recipe's evaluation.split).")
@click.option("-n", "count", type=click.IntRange(min=1), help="Captions per picture, for the metric oracle.")
@click.option("--features", metavar="FILE", help="Feature file, instead of the run's.")
@click.option("--captions", metavar="FILE", help="Caption file with the references, instead of the run's.")
@click.option("-P", "--predictions", type=click.Path(path_type=Path), help="Score these captions, made elsewhere.")
@scoring_options
@click.option("--parallel", is_flag=True, help="A single -R file holds plain captions, a line for each prediction.")
@click.option("--all", "every", is_flag=True, help="References without a prediction are an error.")
@click.option("--training", metavar="FILE", type=click.Path(path_type=Path), help="Training captions, for diversity.")
@click.option("--confidence", is_flag=True, help="Add 95 % confidence intervals, by bootstrap over the pictures.")
@output_folder("Folder for the results (default: evaluations/ in the run folder and the name)")
@click.option("--name", help="What the evaluation is called (default: its split, and what differs from the recipe).")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the run's recipe, such as data.splits.test=lists/test.txt. Can be given again.",
)
@generation_options
def command(
    runs: tuple[Path, ...],
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

    Without RUN the newest run under runs/ is taken; several caption together, as an ensemble. With -P and -R captions
    made elsewhere are scored. Writes scores.json and per_image.csv, and predictions.json in COCO's results form.

    \b
    Examples:
        captioner evaluate runs/merge --split test
        captioner evaluate runs/merge --beam-size 1 --metrics bleu,cider
        captioner evaluate -P captions.json -R references.txt -o scores
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
        raise ConfigError("--features: names one file, the runs of an ensemble have their own; leave it out")
    if len(runs) > 1 and output is None:
        raise ConfigError("-o: missing; name the folder for the results of several runs")
    given = {"split": split, "metrics": metric_names(metrics), "n": count, "cider_df": cider_df}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if confidence:
        changes["confidence"] = True
    if predictions is not None and output is not None:
        click.echo(_score_files(predictions, references, changes, output, parallel, every, training))
        return
    from captioner.recipe import read_run
    from captioner.results import describe_scores
    from captioner.run_folder import evaluation_folder, newest_run, require_finished

    run, *others = runs or (newest_run(),)
    for other in others:
        require_finished(other)
    recipe = read_run(run, assignments)
    if features is not None:
        recipe = replace(recipe, features=features)
    if captions is not None:
        recipe = replace(recipe, data=replace(recipe.data, captions=captions, format="auto"))
    recipe = replace(recipe, evaluation=replace(recipe.evaluation, **changes))
    data = _checked_inputs(run, recipe)
    given = {"features": features, "captions": captions, **changes, **generation}
    output = output or evaluation_folder(run, name or _name_of(recipe.evaluation.split, given))
    load_keras()
    from captioner.stages.evaluate import evaluate_run

    scores = evaluate_run(run, recipe, output, generation, others=others, data=data)
    logger.info(f"{output} holds the results")
    click.echo(describe_scores(scores.corpus, scores.intervals))


def _checked_inputs(run: Path, recipe: Recipe) -> Dataset:
    """Check before Keras is loaded that a run's data are where its recipe says; return the data set.

    Raises:
        ConfigError, DataError: as captioner.stages.evaluate.evaluate_run does.
    """
    from captioner.data.dataset import Dataset
    from captioner.features.store import open_features
    from captioner.metrics.config import require_choice
    from captioner.recipe_paths import require_there
    from captioner.run_folder import CONFIG

    require_choice(recipe.evaluation)
    require_there(recipe.features, "features", run / CONFIG, "--features")
    sources = recipe.data.captions
    for source in [sources] if isinstance(sources, str) else sources:
        require_there(source, "data.captions", run / CONFIG, "--captions")
    split = recipe.evaluation.split
    if split in recipe.data.lists:
        option = f"--set data.splits.{split}=FILE"
        require_there(recipe.data.lists[split], f"data.splits.{split}", run / CONFIG, option)
    data = Dataset(recipe.data)
    data.load((split,))
    if recipe.data.source == "files":
        open_features(recipe.features, recipe.features_layout)
    return data


def _name_of(split: str, given: Mapping[str, Any]) -> str:
    """Return what an evaluation is called: its split, and what was asked for otherwise than in the recipe."""
    asked = {key: value for key, value in given.items() if key != "split" and value is not None and value is not False}
    if asked.get("groups") == 1:  # which sampling goes with
        del asked["groups"]
    parts = [
        split,
        *(f"{key}-{','.join(value) if isinstance(value, tuple) else value}" for key, value in asked.items()),
    ]
    return re.sub(r"[^\w.,-]+", "-", "_".join(parts))[:100]


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
