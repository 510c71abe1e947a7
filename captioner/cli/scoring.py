"""Options of the commands that score captions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from captioner.cli.options import NamedPath


def scoring_options(own: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds --metrics, --cider-df and -R; `own` names the settings used before the defaults."""
    options = (
        click.option(
            "-R",
            "--references",
            multiple=True,
            metavar="FILE",
            type=NamedPath(),
            help="Captions to score against: Flickr, Kaggle, COCO or descriptions.txt. Several text files are read as "
            "plain captions, one line per prediction.",
        ),
        click.option(
            "--cider-df",
            metavar="corpus|FILE",
            help="Source of the document frequencies for CIDEr-D: the evaluated references (corpus) or a caption file "
            f"(default: {own}corpus).",
        ),
        click.option(
            "--metrics",
            metavar="NAMES",
            help="Metrics to compute: bleu,rouge,cider,meteor,diversity,oracle,classic-bleu,retrieval "
            f"(default: {own}bleu,rouge,cider).",
        ),
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in options:
            function = option(function)
        return function

    return add


def metric_names(given: str | None) -> tuple[str, ...] | None:
    """Return the names in a --metrics option, or None if the option is not given.

    Raises:
        ConfigError: a metric does not exist.
    """
    from captioner.config import ConfigError
    from captioner.metrics.scorer import require_metrics

    if given is None:
        return None
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    if not names:
        raise ConfigError("--metrics: names no metric; leave it out, or name some, such as bleu,cider")
    require_metrics(names, "--metrics")
    return names
