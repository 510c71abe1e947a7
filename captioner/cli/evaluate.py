"""captioner evaluate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.generation import generation_options, unknown_words_said
from captioner.cli.options import output_folder, say


@click.command("evaluate")
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@click.option("--split", metavar="NAME", help="Split to caption (default: the recipe's evaluation.split).")
@click.option("--metrics", metavar="NAMES", help="What to score, such as bleu,rouge,cider.")
@click.option("--features", metavar="FILE", help="Feature file, instead of the run's.")
@click.option("--captions", metavar="FILE", help="Caption file with the references, instead of the run's.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Score these captions, made elsewhere.")
@click.option("--references", type=click.Path(path_type=Path), help="Caption file to score --predictions against.")
@output_folder("Folder for the results (default: the run folder)")
@generation_options
def command(
    runs: tuple[Path, ...],
    split: str | None,
    metrics: str | None,
    features: str | None,
    captions: str | None,
    predictions: Path | None,
    references: Path | None,
    output: Path | None,
    generation: dict[str, Any],
) -> None:
    """Caption a split with the captioner of the run folder RUN and score it against the raw references.

    Without RUN the newest run under runs/ is taken; several caption together, as an ensemble. With --predictions and
    --references captions made elsewhere are scored. Writes scores.json and per_image.csv, and predictions.json in
    COCO's results form.
    """
    from captioner.config import ConfigError

    if (predictions is None) != (references is None):
        raise ConfigError("--predictions and --references: give both")
    if predictions is not None:
        if runs:
            raise ConfigError("--predictions: scores captions made elsewhere; leave the run folder out")
        unfit = {"split": split, "features": features, "captions": captions, **generation}
        for name, value in unfit.items():
            if value is not None:
                name = name.replace("_", "-").replace("sampling", "sample")
                raise ConfigError(f"--{name}: has no part in scoring --predictions; leave it out")
        if output is None:
            raise ConfigError("-o: missing; name the folder for the results")
    load_keras()
    from captioner.captioner import newest_run
    from captioner.evaluation import describe
    from captioner.pipeline import evaluate_run, read_run
    from captioner.recipe import require_metrics

    names = tuple(name.strip() for name in metrics.split(",") if name.strip()) if metrics else None
    require_metrics(names or (), "--metrics")
    if predictions is not None and references is not None and output is not None:
        click.echo(describe(_score_files(predictions, references, names, output)))
        return
    if len(runs) > 1 and features is not None:
        raise ConfigError("--features: names one file, the runs of an ensemble have their own; leave it out")
    if len(runs) > 1 and output is None:
        raise ConfigError("-o: missing; name the folder for the results of several runs")
    run, *others = runs or (newest_run(say),)
    recipe = read_run(run)
    config = recipe.evaluation
    config = replace(config, split=split or config.split, metrics=names or config.metrics)
    if features is not None:
        recipe = replace(recipe, features=features)
    if captions is not None:
        recipe = replace(recipe, data=replace(recipe.data, captions=captions, format="auto"))
    with unknown_words_said():
        scores = evaluate_run(run, recipe, config, output or run, generation, say, others=others)
    click.echo(describe(scores.corpus))


def _score_files(
    predictions: Path, references: Path, metrics: tuple[str, ...] | None, output: Path
) -> dict[str, float]:
    from captioner.data.predictions import read_predictions
    from captioner.data.readers import read_captions
    from captioner.evaluation import EvaluationConfig, write_scores
    from captioner.metrics.scorer import score
    from captioner.storage import DataError, digest_file, write_manifest

    names = metrics or EvaluationConfig().metrics
    candidates, captions = read_predictions(predictions), read_captions(references)
    try:
        scores = score(candidates, captions, names)
    except DataError as error:
        raise DataError(f"{predictions}: {error}") from None
    unmatched = len(captions.keys() - candidates.keys())
    if unmatched:
        say(f"{unmatched} of the {len(captions)} pictures in {references} have no prediction and are left out")
    for note in scores.notes:
        say(f"note: {note}")
    write_scores(scores, candidates, output)
    digests = {"predictions": digest_file(predictions), "captions": digest_file(references)}
    write_manifest(output / "scores.json", "evaluate", metrics=list(names), **digests)
    return scores.corpus
