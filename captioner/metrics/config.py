"""The `evaluation` section of a recipe. Needs no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captioner.config import ConfigError
from captioner.data.dataset import read_captions
from captioner.metrics.scorer import DEFAULT, ORACLE
from captioner.storage import digest_file

CORPUS = "corpus"  # CIDEr-D's document frequencies are those of the evaluated references


@dataclass(frozen=True)
class EvaluationConfig:
    """The `evaluation` section of a recipe.

    Attributes:
        split: the split to caption and score.
        metrics: names of metrics in captioner.metrics.scorer.
        n: captions per picture; the first one is scored, and the metric `oracle` scores the best one for each score.
        cider_df: the source of CIDEr-D's document frequencies: `corpus` for the evaluated references, or a caption
            file.
        confidence: whether to compute confidence intervals.
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
    """Check that the metric `oracle` has several captions to choose from.

    Raises:
        ConfigError: there is only one caption per picture.
    """
    if ORACLE in config.metrics and config.n == 1:
        raise ConfigError("oracle chooses among several captions per picture: give -n 5, or evaluation.n in a recipe")


def scoring_settings(config: EvaluationConfig) -> dict[str, Any]:
    """Return the settings that the scores depend on, for a manifest.

    Raises:
        DataError: the file of document frequencies is missing.
    """
    frequencies = CORPUS if config.cider_df == CORPUS else digest_file(config.cider_df)
    return {
        "metrics": list(config.metrics),
        "n": config.n,
        "cider_df": frequencies,
        "confidence": config.confidence,
    }


def frequencies_of(source: str) -> Mapping[str, tuple[str, ...]] | None:
    """Return the captions that give CIDEr-D's document frequencies; None for the evaluated references."""
    return None if source == CORPUS else read_captions(source)
