"""captioner evaluate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.generation import generation_options, option_of
from captioner.cli.options import output_folder
from captioner.cli.scoring import metric_names, scoring_options


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
@output_folder("Folder for the results (default: the run folder)")
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
    generation: dict[str, Any],
) -> None:
    """Caption a split with the captioner of the run folder RUN and score it against the raw references.

    Without RUN the newest run under runs/ is taken; several caption together, as an ensemble. With -P and -R captions
    made elsewhere are scored. Writes scores.json and per_image.csv, and predictions.json in COCO's results form.
    """
    from captioner.config import ConfigError

    if (predictions is None) != (not references):
        raise ConfigError("--predictions and --references: give both")
    here = {"split": split, "n": count, "features": features, "captions": captions, **generation}
    elsewhere = {"parallel": parallel or None, "all": every or None, "training": training}
    for name, value in (here if predictions is not None else elsewhere).items():
        if value is not None:
            part = "scoring --predictions" if predictions is not None else "captioning a split"
            raise ConfigError(f"{option_of(name)}: has no part in {part}; leave it out")
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
    load_keras()
    from captioner.recipe import read_run
    from captioner.results import describe_scores
    from captioner.run_folder import newest_run
    from captioner.stages.evaluate import evaluate_run

    run, *others = runs or (newest_run(),)
    recipe = read_run(run)
    if features is not None:
        recipe = replace(recipe, features=features)
    if captions is not None:
        recipe = replace(recipe, data=replace(recipe.data, captions=captions, format="auto"))
    recipe = replace(recipe, evaluation=replace(recipe.evaluation, **changes))
    scores = evaluate_run(run, recipe, output or run, generation, others=others)
    click.echo(describe_scores(scores.corpus, scores.intervals))


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
