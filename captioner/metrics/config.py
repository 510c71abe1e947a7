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
        split: the split that is decoded.
        metrics: names of captioner.metrics.scorer.
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
