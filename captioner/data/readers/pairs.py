"""Reads captions of other programs together with their references, in every format that can be scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from captioner.data.dataset import read_captions
from captioner.data.readers.detect import detect_format
from captioner.data.readers.predictions import read_lists, read_predictions
from captioner.images.ids import align, one_of_each
from captioner.notes import note
from captioner.storage import DataError, read_text


class CandidatesAndReferences(NamedTuple):
    """Candidates and references, both by image_id.

    Attributes:
        candidates: image_id -> the caption; of an n-best list, the best one.
        alternatives: image_id -> the other captions of its list, if there are some.
        references: image_id -> captions, as in the files.
    """

    candidates: dict[str, str]
    alternatives: dict[str, list[str]]
    references: Mapping[str, tuple[str, ...]]


def read_pairs(
    predictions: str | Path, references: Sequence[str | Path], *, lists: bool = False, parallel: bool = False
) -> CandidatesAndReferences:
    """Read a file of predictions and its references.

    Args:
        predictions: a file in a format of `read_predictions`; or plain captions, one per line.
        references: caption files in any format, which are combined; or plain captions, where line 3 of each file
            belongs to line 3 of the predictions. Several text files are read as plain captions.
        lists: whether a picture may have several predictions.
        parallel: whether a single text file of references contains plain captions.

    Raises:
        DataError: a file cannot be read, is empty or malformed, a picture has two captions without `lists`, or files
            of plain captions differ in length.
    """
    if parallel or (len(references) > 1 and all(detect_format(path) == "descriptions" for path in references)):
        return _read_parallel(predictions, references)
    given = read_captions(references)
    found = read_lists(predictions) if lists else {name: [text] for name, text in read_predictions(predictions).items()}
    found = _by_known_ids(predictions, references[0], found, given)
    best = {image_id: captions[0] for image_id, captions in found.items()}
    return CandidatesAndReferences(
        best, {image_id: captions[1:] for image_id, captions in found.items() if captions[1:]}, given
    )


def _by_known_ids(
    predictions: str | Path,
    references: str | Path,
    found: dict[str, list[str]],
    given: Mapping[str, tuple[str, ...]],
) -> dict[str, list[str]]:
    """Rename the pictures as in the references if only their folders differ, as after `captioner predict FOLDER`."""
    if any(image_id in given for image_id in found):
        return found
    meant = align(found.keys(), given.keys())
    if not meant:
        raise DataError(
            f"{predictions} and {references} have {one_of_each(found, given)}; "
            "name files of the same pictures (plain captions without image_ids need --parallel)"
        )
    first = next(iter(meant))
    note(predictions, f"its pictures are in other folders than in {references}: {first} is read as {meant[first]}")
    return {meant.get(image_id, image_id): captions for image_id, captions in found.items()}


def _read_parallel(predictions: str | Path, references: Sequence[str | Path]) -> CandidatesAndReferences:
    candidates = _plain_lines(predictions)
    if candidates[0][:1] in ("[", "{"):
        raise DataError(f"{predictions}: is JSON, but {references[0]} has plain captions without image_ids")
    columns = [_plain_lines(path) for path in references]
    for path, column in zip(references, columns, strict=True):
        if len(column) != len(candidates):
            raise DataError(
                f"{path}: has {len(column):,} lines, but {predictions} has {len(candidates):,}; "
                "files of plain captions need one line for each candidate"
            )
    given = {}
    for number, captions in enumerate(zip(*columns, strict=True), start=1):
        given[str(number)] = tuple(caption for caption in captions if caption)
        if not given[str(number)]:
            raise DataError(f"{references[0]}: line {number} is blank, so this candidate has no reference")
    return CandidatesAndReferences(
        {str(number): caption for number, caption in enumerate(candidates, start=1)}, {}, given
    )


def _plain_lines(path: str | Path) -> list[str]:
    lines = [line.strip() for line in read_text(path).removesuffix("\n").split("\n")]
    if not any(lines):
        raise DataError(f"{path}: empty; expected one caption per line")
    return lines
