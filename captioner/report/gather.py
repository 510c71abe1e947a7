"""Collect the content of a report from a run folder and its evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from captioner.metrics.bootstrap import intervals
from captioner.metrics.matching import Candidates, References
from captioner.metrics.scorer import METRICS
from captioner.metrics.statistics import means
from captioner.report.history import read_history
from captioner.report.pictures import SMALL_SIDE, Shown, embed_pictures
from captioner.results import read_per_image, read_scores
from captioner.storage import DataError
from captioner.text.ptb import tokenize

RANKED_BY = ("cider_d", "meteor", "rouge_l", "bleu_4", "bleu_1")  # the first available score ranks the pictures
WORDS, UNSAID = 16, 60


class Evaluation(NamedTuple):
    """One of a run's evaluations: its name and its scores by key."""

    name: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """The content of the page.

    Attributes:
        name: name of the run.
        facts: facts about the run: name and value.
        corpus: score by key.
        intervals: key -> confidence interval, if there is one.
        history: the training's rows by epoch; empty if not known.
        best_epoch: the epoch whose weights were kept, if known.
        ranked_by: the score that ranks the pictures.
        ranks: this score for every picture.
        pictures: the shown pictures: id, caption, references, scores, and source, width, height, attention, and the
            result of captioner.report.neighbours.
        neighbours: the training pictures shown beside them: image_id -> source, width, height.
        total: number of evaluated pictures.
        lengths: number of captions by number of words, for the model and for people.
        words: the model's most common words: word, frequency per thousand of the model's words, and of people's.
        evaluations: all evaluations of the run, the shown one first.
        unsaid: people's most common words that the model never uses, with their counts.
    """

    name: str
    facts: list[tuple[str, str]]
    corpus: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    history: list[dict[str, float]]
    best_epoch: int | None
    ranked_by: str
    ranks: Sequence[float]
    pictures: list[dict[str, Any]]
    neighbours: Mapping[str, dict[str, Any]]
    total: int
    lengths: tuple[Counter[int], Counter[int]]
    evaluations: Sequence[Evaluation]
    words: list[tuple[str, float, float]]
    unsaid: list[tuple[str, int]]


def gather(
    folder: Path,
    evaluation: Path,
    references: Mapping[str, Sequence[str]],
    paths: Mapping[str, Path],
    facts: Sequence[tuple[str, str]],
    *,
    shown: int,
    attention: Callable[[Mapping[str, Shown]], Mapping[str, dict[str, Any]]],
    training: Callable[[Mapping[str, str]], Mapping[str, dict[str, Any]]],
    evaluations: Sequence[Evaluation] = (),
) -> Report:
    """Read a run and its evaluation.

    Args:
        folder: the run folder; its history.csv and manifest, if they exist, describe the training.
        evaluation: the folder with scores.json and per_image.csv.
        references: image_id -> raw references.
        paths: image_id -> the picture's file, if known.
        facts: additional facts about the run.
        shown: maximum number of pictures to show, the best and the worst.
        attention: returns the attention maps of pictures.
        training: see captioner.report.neighbours.training_neighbours.
        evaluations: all evaluations of the run.

    Raises:
        DataError: a file is missing or broken, or a picture has no references.
    """
    found = read_per_image(evaluation)
    corpus, known = read_scores(evaluation)
    missing = [image_id for image_id in found if not references.get(image_id)]
    if not found:
        raise DataError(f"{evaluation}: contains no captions; evaluate again")
    if missing:
        fault = f"{len(missing):,} of {len(found):,} pictures have no references, first {missing[0]!r}"
        raise DataError(f"{evaluation}: {fault}; name the captions of the evaluation with -R")
    ranked_by = next((key for key in RANKED_BY if key in next(iter(found.values()))[1]), None)
    if ranked_by is None:
        raise DataError(f"{evaluation}: no score can rank the captions; evaluate with --metrics cider")
    ids = _best_and_worst({image_id: scores[ranked_by] for image_id, (_, scores) in found.items()}, shown)
    pictures = embed_pictures({image_id: paths[image_id] for image_id in ids if image_id in paths})
    maps = attention({i: Shown(found[i][0], picture.width, picture.height) for i, picture in pictures.items()})
    beside = training({image_id: found[image_id][0] for image_id in ids})
    near = {other["id"] for known in beside.values() for other in known["nearest"]}
    candidates = {image_id: tokenize(caption) for image_id, (caption, _) in found.items()}
    given = {image_id: [tokenize(text) for text in references[image_id]] for image_id in found}
    history, best_epoch = read_history(folder)
    return Report(
        name=folder.name,
        facts=list(facts),
        corpus=corpus,
        intervals=known or _intervals(candidates, given, found),
        history=history,
        best_epoch=best_epoch,
        ranked_by=ranked_by,
        ranks=[scores[ranked_by] for _, scores in found.values()],
        pictures=[
            {
                "id": image_id,
                "caption": found[image_id][0],
                "references": list(references[image_id]),
                "scores": {key: round(value, 4) for key, value in found[image_id][1].items()},
                **(pictures[image_id]._asdict() if image_id in pictures else {}),
                **({"attention": maps[image_id]} if image_id in maps else {}),
                **beside.get(image_id, {}),
            }
            for image_id in ids
        ],
        neighbours={
            image_id: picture._asdict()
            for image_id, picture in embed_pictures({i: paths[i] for i in near if i in paths}, SMALL_SIDE).items()
        },
        total=len(found),
        evaluations=evaluations,
        lengths=(
            Counter(map(len, candidates.values())),
            Counter(len(tokens) for several in given.values() for tokens in several),
        ),
        **_vocabulary(candidates, given),
    )


def _best_and_worst(ranks: Mapping[str, float], shown: int) -> list[str]:
    """Return the image_ids of the best half and the worst half of `shown`, best first."""
    ordered = sorted(ranks, key=lambda image_id: -ranks[image_id])
    return ordered if len(ordered) <= shown else ordered[: shown - shown // 2] + ordered[len(ordered) - shown // 2 :]


def _intervals(
    candidates: Mapping[str, list[str]],
    references: Mapping[str, list[list[str]]],
    found: Mapping[str, tuple[str, Mapping[str, float]]],
) -> dict[str, tuple[float, float]]:
    """Return confidence intervals of the scores that can be resampled: BLEU, and the means over pictures."""
    keys = next(iter(found.values()))[1].keys()
    statistics = [
        means({key: np.array([scores[key] for _, scores in found.values()])})
        for key in keys & {"rouge_l", "cider_d", "oracle_rouge_l", "oracle_cider_d"}
    ]
    if "bleu_1" in keys:
        beside = Candidates(References(references), list(candidates), list(candidates.values()))
        statistics.append(METRICS["bleu"].measure(beside))
    return intervals(statistics) if statistics else {}


def _vocabulary(candidates: Mapping[str, list[str]], references: Mapping[str, list[list[str]]]) -> dict[str, Any]:
    said = Counter(word for tokens in candidates.values() for word in tokens)
    heard = Counter(word for several in references.values() for tokens in several for word in tokens)
    of_said, of_heard = max(1, said.total()), max(1, heard.total())
    return {
        "words": [(word, 1000 * n / of_said, 1000 * heard[word] / of_heard) for word, n in said.most_common(WORDS)],
        "unsaid": [(word, number) for word, number in heard.most_common() if word not in said][:UNSAID],
    }
