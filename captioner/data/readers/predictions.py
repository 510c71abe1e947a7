"""Captions made elsewhere: COCO's results form, or `image_id caption` a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioner.data.readers.flickr import lines
from captioner.images.ids import normalize_id
from captioner.storage import DataError, read_json

Row = tuple[str, str, list[str]]  # where it stands, the picture's name, its captions


def read_predictions(path: str | Path) -> dict[str, str]:
    """Read one caption a picture.

    Args:
        path: COCO's results form, a JSON list of {"image_id": ..., "caption": ...}, or lines `image_id caption`.

    Raises:
        DataError: the file cannot be read, is empty or malformed, or captions a picture twice.
    """
    predictions: dict[str, str] = {}
    for place, name, captions in _rows(path):
        image_id = normalize_id(name)
        if image_id in predictions:
            raise DataError(
                f"{path}: {place}: {image_id} has a caption already; keep one a picture "
                "(n-best lists need --metrics oracle, plain captions --parallel)"
            )
        predictions[image_id] = captions[0]
    return predictions


def read_lists(path: str | Path) -> dict[str, list[str]]:
    """Read n-best lists: as `read_predictions`, but a picture may stand there several times, its best caption first.

    An entry of the JSON list may also hold `alternatives`, a list of {"caption": ...}, as captioner evaluate writes it.

    Raises:
        DataError: the file cannot be read, is empty or malformed.
    """
    predictions: dict[str, list[str]] = {}
    for _, name, captions in _rows(path):
        predictions.setdefault(normalize_id(name), []).extend(captions)
    return predictions


def _rows(path: str | Path) -> Iterator[Row]:
    first = next((line for _, line in lines(path)), None)
    if first is None:
        raise DataError(f"{path}: empty; expected COCO's results form or lines of image_id and caption")
    return _from_json(path) if first.lstrip()[0] in "[{" else _from_lines(path)


def _from_json(path: str | Path) -> Iterator[Row]:
    content = read_json(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of image_id and caption (COCO's results form)")
    if not content:
        raise DataError(f"{path}: an empty list; there is no caption in it")
    for index, entry in enumerate(content, start=1):
        if not isinstance(entry, dict) or not {"image_id", "caption"} <= entry.keys():
            raise DataError(f"{path}: entry {index} has no image_id and caption")
        name = entry["image_id"]
        captions = [entry["caption"], *map(_caption, _list(entry.get("alternatives")))]
        if not all(isinstance(caption, str) for caption in captions) or type(name) not in (str, int):
            raise DataError(f"{path}: entry {index}: the caption must be text and the image_id text or a whole number")
        yield f"entry {index}", str(name), captions


def _list(alternatives: Any) -> list[Any]:
    return alternatives if isinstance(alternatives, list) else []


def _caption(alternative: Any) -> Any:
    return alternative.get("caption") if isinstance(alternative, dict) else None


def _from_lines(path: str | Path) -> Iterator[Row]:
    for number, line in lines(path):
        name, _, caption = line.strip().partition("\t" if "\t" in line else " ")
        yield f"line {number}", name, [caption.strip()]
