"""Scores of captions made elsewhere, and the settings of every evaluation. Needs no Keras."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.config import ConfigError
from captioner.data.dataset import read_captions
from captioner.data.readers.pairs import read_pairs
from captioner.metrics.scorer import DEFAULT, ORACLE, Scores, score
from captioner.stages.results import SCORES, write_scores
from captioner.storage import DataError, digest_file, write_manifest

logger = logging.getLogger(__name__)

CORPUS = "corpus"  # CIDEr-D's document frequencies are those of the evaluated references


@dataclass(frozen=True)
class EvaluationConfig:
    """The `evaluation` section of a recipe.

    Attributes:
        split: the split that is decoded.
        metrics: what is scored, names of captioner.metrics.scorer.
        n: captions a picture; the best one is scored, and by the metric `oracle` the best by each score.
        cider_df: whose document frequencies CIDEr-D takes: `corpus` for the evaluated references, or a caption file.
        confidence: whether confidence intervals are drawn.
    """

    split: str = "dev"
    metrics: tuple[str, ...] = DEFAULT
    n: int = 1
    cider_df: str = CORPUS
    confidence: bool = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, found {self.n}")


def require_choice(config: EvaluationConfig) -> None:
    """Refuse the metric `oracle` where it has nothing to choose from.

    Raises:
        ConfigError: one caption a picture is asked for.
    """
    if ORACLE in config.metrics and config.n == 1:
        raise ConfigError("oracle chooses among several captions a picture: give -n 5, or evaluation.n in a recipe")


def how(config: EvaluationConfig) -> dict[str, Any]:
    """Return what scores hang on beside the captions, for a manifest."""
    frequencies = CORPUS if config.cider_df == CORPUS else digest_file(config.cider_df)
    return {"n": config.n, "cider_df": frequencies, "confidence": config.confidence}


def frequencies_of(source: str) -> Mapping[str, tuple[str, ...]] | None:
    """Return the captions that give CIDEr-D's document frequencies; None for the evaluated references."""
    return None if source == CORPUS else read_captions(source)


def score_files(
    predictions: Path,
    references: Sequence[Path],
    config: EvaluationConfig,
    output: Path,
    *,
    parallel: bool = False,
    every: bool = False,
    training: Path | None = None,
) -> Scores:
    """Score captions made elsewhere, and write scores.json and per_image.csv to `output`.

    Args:
        predictions: see captioner.data.readers.pairs.read_pairs.
        references: see there.
        config: how they are scored; the split and n are not looked at.
        output: a folder.
        parallel: whether a single text file of references holds plain captions, a line for each candidate.
        every: whether references without a prediction are an error.
        training: a caption file; the metric `diversity` counts the predictions that are not in it.

    Raises:
        ConfigError: a metric is not known.
        DataError: a file cannot be used, or a prediction has no references, or references without a prediction are
            an error and there are some.
    """
    pairs = read_pairs(predictions, references, lists=ORACLE in config.metrics, parallel=parallel)
    known = None if training is None else [text for texts in read_captions(training).values() for text in texts]
    try:
        scores = score(
            pairs.candidates,
            pairs.references,
            config.metrics,
            alternatives=pairs.alternatives,
            cider_df=frequencies_of(config.cider_df),
            training=known,
            confidence=config.confidence,
        )
    except DataError as error:
        raise DataError(f"{predictions}: {error}") from None
    if unmatched := [image_id for image_id in pairs.references if image_id not in pairs.candidates]:
        message = f"{len(unmatched):,} of the {len(pairs.references):,} pictures in {references[0]} have no prediction"
        if every:
            raise DataError(f"{predictions}: {message}, first {unmatched[0]!r}; caption them too, or leave --all away")
        logger.info(f"{message} and are left out")
    for note in scores.notes:
        logger.warning(note)
    write_scores(scores, pairs.candidates, output, {} if config.cider_df == CORPUS else {"cider_df": config.cider_df})
    digests = {"predictions": digest_file(predictions), "captions": [digest_file(path) for path in references]}
    kept = [name for name in config.metrics if name not in scores.skipped]
    write_manifest(output / SCORES, "evaluate", metrics=kept, **how(config), **digests)
    return scores
