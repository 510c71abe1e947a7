"""captioner compare."""

from __future__ import annotations

import json
from pathlib import Path

import click

from captioner.cli.options import NamedPath
from captioner.cli.scoring import metric_names, scoring_options


@click.command("compare")
@click.argument("first", metavar="A", type=NamedPath())
@click.argument("second", metavar="B", type=NamedPath())
@scoring_options()
@click.option("--parallel", is_flag=True, help="The single -R file contains plain captions, one line per prediction.")
@click.option("--all", "every", is_flag=True, help="Fail if a picture is captioned by only one of them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with scores as fractions.")
def command(
    first: Path,
    second: Path,
    references: tuple[Path, ...],
    metrics: str | None,
    cider_df: str | None,
    parallel: bool,
    every: bool,
    as_json: bool,
) -> None:
    """Tell whether the captions of A and B differ by more than chance.

    A and B are evaluated run folders or files of predictions. For each score, the difference is printed with a
    confidence interval (paired bootstrap) and a p-value (approximate randomization).

    \b
    Examples:
        captioner compare runs/merge runs/attention
        captioner compare ours.json theirs.json --references captions.csv
    """
    from captioner.metrics.config import EvaluationConfig
    from captioner.stages.compare import compare, describe

    names = metric_names(metrics) or EvaluationConfig().metrics
    config = EvaluationConfig(metrics=names, cider_df=cider_df or EvaluationConfig().cider_df)
    found = compare(first, second, references, config, parallel=parallel, every=every)
    click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=1) if as_json else describe(found))
