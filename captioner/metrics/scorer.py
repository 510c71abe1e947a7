"""Scores raw captions with metrics by name, for the corpus and per picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from captioner.config import ConfigError
from captioner.metrics.bleu import bleu
from captioner.metrics.bootstrap import intervals
from captioner.metrics.cider import cider
from captioner.metrics.classic_bleu import classic_bleu
from captioner.metrics.diversity import diversity
from captioner.metrics.matching import Candidates, References
from captioner.metrics.meteor import UnavailableError, meteor, meteor_command
from captioner.metrics.rouge import rouge
from captioner.metrics.statistics import Statistics, best_of
from captioner.storage import DataError
from captioner.text.cleaning import RULES
from captioner.text.ptb import tokenize


class Metric(NamedTuple):
    """A metric: its tokenization rules for both sides, and the function that compares them."""

    rules: str
    measure: Callable[[Candidates], Statistics]


METRICS: dict[str, Metric] = {
    "bleu": Metric("ptb", bleu),  # bleu_1 ... bleu_4
    "rouge": Metric("ptb", rouge),  # rouge_l
    "cider": Metric("ptb", cider),  # cider_d
    "meteor": Metric("ptb", meteor),  # meteor, by Java
    "classic-bleu": Metric("classic", classic_bleu),  # classic_bleu_1 ... classic_bleu_4, inflated
}

# Scores that do not compare one candidate with its references: the variety of all candidates (distinct_1, distinct_2,
# vocabulary, mean_length, novel), and the scores of the best of several candidates per picture (oracle_ and each key).
DIVERSITY, ORACLE = "diversity", "oracle"
RETRIEVAL = "retrieval"  # scores the model, not captions: evaluate adds it, see captioner.stages.retrieval
NAMES = (*METRICS, DIVERSITY, ORACLE, RETRIEVAL)
DEFAULT = ("bleu", "rouge", "cider")


@dataclass(frozen=True)
class Scores:
    """The results of the metrics.

    Attributes:
        corpus: score by key, as fractions (cider_d reaches 10; vocabulary and mean_length are counts).
        per_image: image_id -> score by key, in the order of the candidates, for metrics that score single pictures.
        notes: remarks for the reader of the scores, one sentence each.
        skipped: names of the metrics that could not be computed here.
        intervals: confidence intervals of corpus scores by key, if they were requested.
        statistics: the statistics of the corpus scores, one row per picture; captioner.metrics.bootstrap uses them.
    """

    corpus: dict[str, float]
    per_image: dict[str, dict[str, float]]
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    statistics: list[Statistics] = field(default_factory=list, compare=False, repr=False)


def require_metrics(names: Sequence[str], where: str = "metrics") -> None:
    """Check metrics' names before the work starts.

    Raises:
        ConfigError: there is no such metric; `where` names the setting or option.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ConfigError(f"{where}: {unknown[0]!r} is not known (known: {', '.join(NAMES)})")
    if names and set(names) <= {ORACLE}:
        raise ConfigError(f"{where}: oracle chooses captions by other metrics; add one of them")


def is_available(name: str) -> bool:
    """Return whether a metric can be computed on this machine: METEOR needs Java and a package."""
    if name != "meteor":
        return True
    try:
        meteor_command()
    except UnavailableError:
        return False
    return True


def score(
    candidates: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    metrics: Sequence[str] = DEFAULT,
    *,
    alternatives: Mapping[str, Sequence[str]] | None = None,
    cider_df: Mapping[str, Sequence[str]] | None = None,
    training: Iterable[str] | None = None,
    confidence: bool = False,
) -> Scores:
    """Score raw candidates against raw references; both are tokenized here.

    Args:
        candidates: image_id -> the caption. An empty one scores 0.
        references: image_id -> the picture's references. Pictures without a candidate are ignored.
        metrics: names from NAMES.
        alternatives: image_id -> further captions of the picture, from which `oracle` also chooses.
        cider_df: image_id -> the captions that give CIDEr-D's document frequencies; None: the references.
        training: the training captions, for `novel`.
        confidence: whether to compute confidence intervals.

    Raises:
        DataError: there are no candidates, one has no references (the message names it), oracle has nothing to choose
            from, or no metric can be computed here.
        ConfigError: there is no such metric; the message names the existing metrics.

    >>> candidates = {"a": "a dog runs on the grass", "b": "a cat"}
    >>> references = {"a": ["A dog runs on the grass."], "b": ["Two cats sleep.", "A cat and a cat."]}
    >>> scores = score(candidates, references, ["bleu"])
    >>> round(scores.corpus["bleu_1"], 3)
    0.882
    >>> scores.per_image["a"]["bleu_4"] > scores.per_image["b"]["bleu_4"]
    True
    """
    require_metrics(metrics)
    _require_candidates(candidates, references)
    more = alternatives or {}
    if ORACLE in metrics and not any(more.values()):
        raise DataError("oracle needs several captions per picture, found one; give n-best lists")
    names = list(dict.fromkeys(metrics))
    lists = {i: [text, *(more.get(i, ()) if ORACLE in names else ())] for i, text in candidates.items()}
    picture = np.repeat(np.arange(len(lists)), [len(texts) for texts in lists.values()])
    own = np.flatnonzero(np.append(True, np.diff(picture) > 0))  # each picture's candidate, the first of its list
    measured, notes = _measure(names, lists, references, cider_df)
    if "cider" in names and cider_df is None and len(candidates) == 1:
        notes.append("CIDEr-D of a single picture is 0: document frequencies need several pictures")
    if "classic-bleu" in names:
        notes.append("classic_bleu is inflated: compare it with the tutorials' numbers only")
    statistics = [each.take(own) for each in measured.values()]
    if ORACLE in names:
        statistics += [best for each in measured.values() for best in best_of(each, picture)]
    corpus = {key: value for each in statistics for key, value in each.corpus().items()}
    if DIVERSITY in names:
        corpus |= _diversity(candidates, training)
    if not corpus and RETRIEVAL not in names:
        raise DataError(f"no metric can be computed: {'; '.join(notes)}")
    skipped = [name for name in names if name in METRICS and name not in measured]
    drawn = intervals(statistics) if confidence and statistics else {}
    return Scores(corpus, _per_image(candidates, statistics), notes, skipped, drawn, statistics)


def _require_candidates(candidates: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> None:
    if not candidates:
        raise DataError("there are no candidates to score; check the predictions")
    missing = [image_id for image_id in candidates if not references.get(image_id)]
    if missing:
        raise DataError(
            f"{len(missing):,} of the {len(candidates):,} candidates have no references (first: {missing[0]!r}); "
            "check that predictions and captions are from the same data set"
        )


def _measure(
    names: Sequence[str],
    lists: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    cider_df: Mapping[str, Sequence[str]] | None,
) -> tuple[dict[str, Statistics], list[str]]:
    """Return each metric's statistics over all captions of all lists, and notes on metrics that were left out."""
    ids = [image_id for image_id, texts in lists.items() for _ in texts]
    sides: dict[str, Candidates] = {}  # by tokenization rules
    measured, notes = {}, []
    for name in names:
        if name not in METRICS:
            continue
        rules, measure = METRICS[name]
        if rules not in sides:
            given = _tokenize({image_id: references[image_id] for image_id in lists}, rules)
            every = [tokens for several in _tokenize(lists, rules).values() for tokens in several]
            sides[rules] = Candidates(References(given), ids, every)
        if name == "cider" and cider_df is not None:
            measure = partial(cider, frequencies_from=References(_tokenize(cider_df, rules)))
        try:
            measured[name] = measure(sides[rules])
        except UnavailableError as error:
            notes.append(f"METEOR is left out: {error}")
    return measured, notes


def _tokenize(captions: Mapping[str, Sequence[str]], rules: str) -> dict[str, list[list[str]]]:
    return {image_id: [RULES[rules](text) for text in texts] for image_id, texts in captions.items()}


def _diversity(candidates: Mapping[str, str], training: Iterable[str] | None) -> dict[str, float]:
    seen = None if training is None else {tuple(tokenize(text)) for text in training}
    return diversity([tokenize(text) for text in candidates.values()], seen)


def _per_image(ids: Iterable[str], statistics: Sequence[Statistics]) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {image_id: {} for image_id in ids}
    for each in statistics:
        for key, values in each.each().items():
            for row, value in zip(rows.values(), values.tolist(), strict=True):
                row[key] = value
    return rows
