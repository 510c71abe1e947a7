"""Compare two systems' captions of the same pictures: how far their scores differ, and whether by chance."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from captioner.config import ConfigError, load_yaml
from captioner.data.readers.pairs import CandidatesAndReferences, read_pairs
from captioner.metrics.bootstrap import LEVEL, RESAMPLES, TRIALS, Difference, differences
from captioner.metrics.config import EvaluationConfig, frequencies_of
from captioner.metrics.labels import label, show
from captioner.metrics.scorer import ORACLE, Scores, score
from captioner.recipe import read_run
from captioner.results import require_whole
from captioner.run_folder import CAPTIONER, CONFIG, EVALUATIONS, PREDICTIONS, SCORES, results_of
from captioner.storage import DataError, digest_file

logger = logging.getLogger(__name__)

CHANCE = 0.05  # p-values below it count as a difference
LEAST = 5e-5  # smaller differences are shown as 0.00 and do not count, whatever their p-value


@dataclass(frozen=True)
class Comparison:
    """The scores of two systems, A and B.

    Attributes:
        names: of A and B.
        pictures: number of pictures that both have captioned.
        corpus: the scores of A and of B by key.
        found: key -> the difference, for scores that are sums over pictures.
    """

    names: tuple[str, str]
    pictures: int
    corpus: tuple[Mapping[str, float], Mapping[str, float]]
    found: Mapping[str, Difference]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-compatible keys and values."""
        first, second = self.corpus
        rows = {
            key: asdict(self.found[key]) if key in self.found else {"first": first[key], "second": second[key]}
            for key in first
        }
        return {"first": self.names[0], "second": self.names[1], "pictures": self.pictures, "scores": rows}


def compare(
    first: Path,
    second: Path,
    references: Sequence[Path],
    config: EvaluationConfig,
    *,
    parallel: bool = False,
    every: bool = False,
) -> Comparison:
    """Compare two systems on the pictures that both have captioned.

    Args:
        first, second: evaluated run folders, or files of predictions.
        references: caption files; if empty, those of the run folders are used.
        config: metrics and document frequencies.
        parallel: see captioner.data.readers.pairs.read_pairs.
        every: fail if a picture is captioned by only one of them.

    Raises:
        ConfigError: no references are given, and the runs name none.
        DataError: a file cannot be used, or the two have no picture in common.
    """
    given = list(references) or _known_references(first, second)
    paths, lists = (first, second), ORACLE in config.metrics
    systems = [read_pairs(_predictions_of(path), given, lists=lists, parallel=parallel) for path in paths]
    shared = _shared(first, second, systems, every)
    frequencies = frequencies_of(config.cider_df)
    scores = [_score(path, pairs, shared, config, frequencies) for path, pairs in zip(paths, systems, strict=True)]
    for note in scores[0].notes:
        logger.warning(note)
    found = differences(scores[0].statistics, scores[1].statistics) if scores[0].statistics else {}
    return Comparison((str(first), str(second)), len(shared), (scores[0].corpus, scores[1].corpus), found)


def _predictions_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    results = results_of(path)
    if not (results / PREDICTIONS).is_file():
        raise DataError(f"{path}: has no {PREDICTIONS}; captioner evaluate {path} makes it")
    if (results / SCORES).is_file():
        require_whole(results)
    return results / PREDICTIONS


def _known_references(first: Path, second: Path) -> list[Path]:
    """Return the caption file that the run folders were evaluated with."""
    named = [_captions_of(path) for path in (first, second)]
    known = [path for path in named if path is not None]
    if not known:
        raise ConfigError("-R: missing; name the captions to score against")
    if len({digest_file(path) for path in known}) > 1:
        raise DataError(
            f"{first} and {second}: have different references, {known[0]} and {known[1]}; choose one with -R"
        )
    return known[:1]


def _captions_of(path: Path) -> Path | None:
    run = path.parent.parent if path.parent.name == EVALUATIONS else path
    captions: Any = None
    if (run / CAPTIONER).is_file():
        captions = read_run(run).data.captions
    elif (run / CONFIG).is_file():
        captions = (load_yaml(run / CONFIG).get("data") or {}).get("captions")
    return Path(captions) if isinstance(captions, str) else None


def _shared(first: Path, second: Path, systems: Sequence[CandidatesAndReferences], every: bool) -> list[str]:
    one, two = systems[0].candidates, systems[1].candidates
    shared = [image_id for image_id in one if image_id in two]
    both = set(shared)
    if not shared:
        raise DataError(f"{first} and {second}: have no picture in common; compare captions of the same split")
    for path, more, other in ((first, one, second), (second, two, first)):
        if alone := [image_id for image_id in more if image_id not in both]:
            message = f"{len(alone):,} of the {len(more):,} pictures in {path} are not in {other}"
            if every:
                raise DataError(f"{message}, first {alone[0]!r}; caption them too, or leave out --all")
            logger.info(f"{message} and are left out")
    return shared


def _score(
    path: Path,
    pairs: CandidatesAndReferences,
    shared: Sequence[str],
    config: EvaluationConfig,
    frequencies: Mapping[str, Sequence[str]] | None,
) -> Scores:
    candidates = {image_id: pairs.candidates[image_id] for image_id in shared}
    more = pairs.alternatives
    try:
        return score(candidates, pairs.references, config.metrics, alternatives=more, cider_df=frequencies)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def describe(comparison: Comparison) -> str:
    """Return a comparison as a readable table."""
    first, second = comparison.corpus
    rows = [["", "A", "B", "B - A", f"{100 * LEVEL:g} % interval", "p", ""]]
    for key, value in first.items():
        row = [label(key), show(key, value), show(key, second[key])]
        if key in comparison.found:
            one = comparison.found[key]
            ends = f"{_signed(key, one.low)} to {_signed(key, one.high)}"
            row += [_signed(key, one.second - one.first), ends, f"{one.p:.4f}", _verdict(one)]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = (0, len(widths) - 1)
    lines = [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    names = [f"{letter}  {name}" for letter, name in zip("AB", comparison.names, strict=True)]
    explained = (
        f"p: share of {TRIALS:,} random exchanges of captions between A and B that give at least this difference.\n"
        f"Interval: paired bootstrap, {RESAMPLES:,} samples of the {comparison.pictures:,} pictures.\n"
        "Both hold for these captions only: training with another seed can change scores by more."
    )
    return "\n".join([*names, "", *lines, "", explained])


def _signed(key: str, value: float) -> str:
    return ("+" if value >= 0 else "-") + show(key, abs(value))


def _verdict(difference: Difference) -> str:
    if difference.p >= CHANCE:
        return "may be chance"
    if abs(difference.second - difference.first) < LEAST:
        return "negligible difference"
    return "B is better" if difference.second > difference.first else "A is better"
