"""captioner evaluate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import output_folder, say


@click.command("evaluate")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--split", metavar="NAME", help="Split to caption (default: the recipe's evaluation.split).")
@click.option("--metrics", metavar="NAMES", help="What to score, such as bleu,rouge,cider.")
@click.option("--beam-size", type=click.IntRange(min=1), help="Hypotheses kept per picture; 1 is greedy search.")
@click.option("--features", metavar="FILE", help="Feature file, instead of the run's.")
@click.option("--captions", metavar="FILE", help="Caption file with the references, instead of the run's.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Score these captions, made elsewhere.")
@click.option("--references", type=click.Path(path_type=Path), help="Caption file to score --predictions against.")
@output_folder("Folder for the results (default: the run folder)")
def command(
    run: Path | None,
    split: str | None,
    metrics: str | None,
    beam_size: int | None,
    features: str | None,
    captions: str | None,
    predictions: Path | None,
    references: Path | None,
    output: Path | None,
) -> None:
    """Caption a split with the captioner of the run folder RUN and score it against the raw references.

    Without RUN the newest run under runs/ is taken. With --predictions and --references captions made elsewhere are
    scored. Writes scores.json and per_image.csv, and predictions.json in COCO's results form.
    """
    from captioner.config import ConfigError

    if (predictions is None) != (references is None):
        raise ConfigError("--predictions and --references: give both")
    if predictions is not None:
        if run is not None:
            raise ConfigError("--predictions: scores captions made elsewhere; leave the run folder out")
        for name, value in {"split": split, "beam-size": beam_size, "features": features, "captions": captions}.items():
            if value is not None:
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
    if run is None:
        run = newest_run(say)
    recipe = read_run(run)
    config = recipe.evaluation
    config = replace(config, split=split or config.split, metrics=names or config.metrics)
    if features is not None:
        recipe = replace(recipe, features=features)
    if captions is not None:
        recipe = replace(recipe, data=replace(recipe.data, captions=captions, format="auto"))
    changes: dict[str, Any] = {} if beam_size is None else {"beam_size": beam_size}
    scores = evaluate_run(run, recipe, config, output or run, changes, say)
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
