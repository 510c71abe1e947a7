"""Raw captions in, scores out: every metric by name, over the corpus and per picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from captioner.config import ConfigError
from captioner.metrics.bleu import bleu
from captioner.metrics.cider import cider
from captioner.metrics.classic_bleu import classic_bleu
from captioner.metrics.rouge import rouge
from captioner.storage import DataError
from captioner.text.cleaning import RULES

Tokenized = Mapping[str, list[str]]
TokenizedReferences = Mapping[str, list[list[str]]]


class Metric(NamedTuple):
    """A metric: the rules that tokenize both sides for it, and the function that scores tokens.

    The function returns the corpus' scores by key, and image_id -> that picture's scores by key.
    """

    rules: str
    compute: Callable[[Tokenized, TokenizedReferences], tuple[dict[str, float], dict[str, dict[str, float]]]]


METRICS: dict[str, Metric] = {
    "bleu": Metric("ptb", bleu),  # bleu_1 ... bleu_4
    "rouge": Metric("ptb", rouge),  # rouge_l
    "cider": Metric("ptb", cider),  # cider_d
    "classic-bleu": Metric("classic", classic_bleu),  # classic_bleu_1 ... classic_bleu_4, inflated
}


@dataclass(frozen=True)
class Scores:
    """What the metrics say.

    Attributes:
        corpus: score by key, as fractions (cider_d reaches 10).
        per_image: image_id -> score by key, in the order of the candidates.
        notes: what a reader of the numbers should know, a sentence each.
    """

    corpus: dict[str, float]
    per_image: dict[str, dict[str, float]]
    notes: list[str] = field(default_factory=list)


def score(
    candidates: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    metrics: Sequence[str] = ("bleu", "rouge", "cider"),
) -> Scores:
    """Score raw candidates against raw references; both are tokenized here.

    Args:
        candidates: image_id -> the caption. An empty one scores 0.
        references: image_id -> the picture's references. Those of pictures without a candidate do not count.
        metrics: names in METRICS.

    Raises:
        DataError: there is no candidate, or one has no references (it is named).
        ConfigError: there is no such metric; the message names those that there are.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ConfigError(f"metrics: {unknown[0]!r} is not known (known: {', '.join(METRICS)})")
    if not candidates:
        raise DataError("there are no candidates to score; check the predictions")
    missing = [image_id for image_id in candidates if not references.get(image_id)]
    if missing:
        raise DataError(
            f"{len(missing):,} of the {len(candidates):,} candidates have no references, first {missing[0]!r}; "
            "check that predictions and captions are of the same data set"
        )
    corpus: dict[str, float] = {}
    per_image: dict[str, dict[str, float]] = {image_id: {} for image_id in candidates}
    for rules in dict.fromkeys(METRICS[name].rules for name in metrics):
        clean = RULES[rules]
        found = {image_id: clean(text) for image_id, text in candidates.items()}
        given = {image_id: [clean(text) for text in references[image_id]] for image_id in candidates}
        for name in dict.fromkeys(metrics):
            if METRICS[name].rules == rules:
                overall, parts = METRICS[name].compute(found, given)
                corpus.update(overall)
                for image_id, part in parts.items():
                    per_image[image_id].update(part)
    return Scores(corpus, per_image, _notes(metrics, len(candidates)))


def _notes(metrics: Sequence[str], pictures: int) -> list[str]:
    notes = []
    if "cider" in metrics and pictures == 1:
        notes.append("CIDEr-D of a single picture is 0: its document frequencies need several")
    if "classic-bleu" in metrics:
        notes.append("classic_bleu is inflated: compare it with the tutorials' numbers only")
    return notes
