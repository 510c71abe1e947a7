"""The files of an evaluation: predictions.json, scores.json and per_image.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.data.captions import Captions
from captioner.metrics.bootstrap import LEVEL, RESAMPLES
from captioner.metrics.labels import describe, describe_intervals
from captioner.metrics.scorer import Scores
from captioner.run_folder import PER_IMAGE, PREDICTIONS, SCORES
from captioner.storage import (
    DataError,
    digest_file,
    read_json,
    read_manifest,
    read_text,
    remove_manifest,
    write_json,
    write_text,
)
from captioner.table import to_csv

if TYPE_CHECKING:
    from captioner.generation.caption import Caption


def write_scores(
    scores: Scores, candidates: Mapping[str, str], output: Path, context: Mapping[str, Any] | None = None
) -> None:
    """Write scores.json (corpus scores as fractions, `context`, confidence intervals) and per_image.csv."""
    remove_manifest(output / SCORES)
    content: dict[str, Any] = {name: round(value, 6) for name, value in scores.corpus.items()}
    content |= {"pictures": len(candidates), **(context or {})}
    if scores.intervals:
        ends = {name: [round(end, 6) for end in interval] for name, interval in scores.intervals.items()}
        content["confidence"] = {"level": LEVEL, "resamples": RESAMPLES, "intervals": ends}
    write_json(output / SCORES, content)
    names = list(next(iter(scores.per_image.values()), {}))
    rows = (
        [image_id, *(f"{row[name]:.6f}" for name in names), candidates[image_id]]
        for image_id, row in scores.per_image.items()
    )
    write_text(output / PER_IMAGE, to_csv(["image_id", *names, "caption"], rows))


def write_predictions(decoded: Mapping[str, Sequence[Caption]], captions: Captions, output: Path) -> None:
    """Write predictions.json in COCO's results format: each picture's best caption, the others as `alternatives`."""
    write_json(
        output / PREDICTIONS, [_prediction(image_id, several, captions) for image_id, several in decoded.items()]
    )


def _prediction(image_id: str, several: Sequence[Caption], captions: Captions) -> dict[str, Any]:
    """Return one entry in COCO's results format, where ids are whole numbers."""
    picture = captions.pictures.get(image_id)
    best, *others = map(_written, several)
    entry = {
        "image_id": int(image_id) if image_id.isdecimal() and str(int(image_id)) == image_id else image_id,
        "caption": best["caption"],
        "file_name": picture.name if picture else None,
        **{name: value for name, value in best.items() if name != "caption"},
    }
    return {**entry, "alternatives": others} if others else entry


def _written(caption: Caption) -> dict[str, Any]:
    possible = caption.log_prob > float("-inf")  # JSON has no infinity
    written = {"caption": caption.text, "log_prob": round(caption.log_prob, 6) if possible else None}
    return written if caption.confidence is None else {**written, "confidence": round(caption.confidence, 4)}


def require_own_scores(folder: Path, with_predictions: bool) -> None:
    """Refuse to replace files that captioner evaluate did not write; a killed evaluation leaves some of its own.

    Args:
        folder: the folder for the results.
        with_predictions: whether predictions.json will be written, too.

    Raises:
        DataError: the folder has another scores.json, per_image.csv or predictions.json.
    """
    scores, rows, predictions = folder / SCORES, folder / PER_IMAGE, folder / PREDICTIONS
    foreign = None
    if scores.is_file() and not _is_of(scores, dict, "pictures"):
        foreign = scores
    elif rows.is_file() and not _begins(rows, b"image_id,"):
        foreign = rows
    elif with_predictions and predictions.is_file() and not _is_of(predictions, list, "log_prob"):
        foreign = predictions
    if foreign is not None:
        raise DataError(
            f"{foreign}: already exists and was not written by captioner evaluate; name another folder with -o, or "
            "remove it"
        )


def _is_of(path: Path, kind: type[dict[str, Any]] | type[list[Any]], key: str) -> bool:
    """Return whether a JSON file has an object, or a list of objects, with a key that this module writes."""
    try:
        content = read_json(path)
    except DataError:
        return False
    entries = content if isinstance(content, list) else [content]
    return isinstance(content, kind) and all(isinstance(entry, dict) and key in entry for entry in entries)


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digests of an evaluation's files for its manifest, which is written last and ties them together."""
    return {name: digest_file(folder / name) for name in (SCORES, PER_IMAGE, PREDICTIONS) if (folder / name).is_file()}


def require_whole(folder: Path, run: Path | None = None) -> None:
    """Refuse an evaluation that is unfinished, has changed files, or belongs to another captioner.

    Args:
        folder: folder of the evaluation.
        run: the run folder of the evaluated captioner, if there is one.

    Raises:
        DataError: with what does not match.
    """
    manifest = read_manifest(folder / SCORES)
    again = f"run captioner evaluate {run or folder} again"
    if manifest is None:
        raise DataError(f"{folder}: its evaluation was not finished; {again}")
    for name, digest in manifest.get("files", {}).items():
        if not (folder / name).is_file() or digest_file(folder / name) != digest:
            raise DataError(f"{folder / name}: has changed since the evaluation; {again}")
    trained = read_manifest(run) if run is not None and run.is_dir() else None
    known, used = (trained or {}).get("captioner"), manifest.get("captioner")
    if isinstance(known, str) and isinstance(used, str) and known != used:
        raise DataError(f"{folder}: its scores belong to another captioner than the one in {run}; {again}")


def read_scores(folder: Path) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return the corpus scores of an evaluation and their confidence intervals, which may be empty.

    Raises:
        DataError: scores.json is missing or was not written by captioner.
    """
    content = read_json(folder / SCORES)
    if not isinstance(content, dict):
        raise DataError(f"{folder / SCORES}: contains no scores; captioner evaluate writes them")
    confidence = content.get("confidence", {})
    scores = {name: value for name, value in content.items() if isinstance(value, float)}
    return scores, {name: (low, high) for name, (low, high) in confidence.get("intervals", {}).items()}


def read_per_image(folder: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """Return image_id -> the caption and its scores by key.

    Raises:
        DataError: per_image.csv is missing or was not written by captioner.
    """
    path = folder / PER_IMAGE
    found = {}
    try:
        for row in csv.DictReader(io.StringIO(read_text(path)), strict=True):
            image_id, caption = row.pop("image_id"), row.pop("caption")
            if caption is None or None in row:
                raise ValueError(f"{image_id} has another number of columns than the header")
            found[image_id] = (caption, {name: float(value) for name, value in row.items()})
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as captions and scores ({error}); evaluate again") from None
    return found


def describe_scores(corpus: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> str:
    """Return scores on one line, or as a table if there are confidence intervals."""
    return describe_intervals(corpus, intervals, LEVEL) if intervals else describe(corpus)
