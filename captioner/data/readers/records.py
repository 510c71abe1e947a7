"""Readers of JSON: lines and lists of records, and objects whose keys are pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.data.captions import Captions
from captioner.data.readers.collect import Row, collect
from captioner.data.readers.columns import (
    IMAGE_COLUMNS,
    Columns,
    NotTextError,
    Texts,
    find_columns,
    plain_name,
    read_texts,
)
from captioner.data.readers.flickr import lines
from captioner.encoding import decode
from captioner.images.ids import is_picture_name, spell_id
from captioner.storage import DataError, read_json

_HEAD = 2**16  # bytes in which a list opens
_KEYS = frozenset(IMAGE_COLUMNS)  # that no picture is called by


def read_records(path: str | Path, predictions: bool = False) -> Captions:
    """Read JSON lines or a JSON list of records: {"image": "a.jpg", "caption": "A dog ."}.

    The keys are those of a table's columns; `captions` may be a list, of texts, of words or of records. COCO's results
    form, BLIP's files and what `captioner predict --json` prints are such lists. A list may also hold pairs: a picture
    and its captions.

    Args:
        path: the file.
        predictions: whether a caption may be blank, and predictions are preferred to references beside them.

    Raises:
        DataError: the file cannot be read, is empty, is not JSON, or a record lacks a picture or a caption.
    """
    records = _list_entries(read_json(path)) if _is_list(path) else _json_lines(path)
    return collect(path, (_row(path, place, record, predictions) for place, record in records))


def read_mapping(path: str | Path, predictions: bool = False) -> Captions:
    """Read a JSON object whose keys are pictures: {"a.jpg": "A dog ."} or {"a.jpg": ["A dog .", "Dogs"]}.

    An object that is one record, or that holds a list of records under some key, is read as that.

    Raises:
        DataError: the file cannot be read, is not such JSON, or holds no captions.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object image_id -> caption")
    if find_columns(list(content), predictions) and not any(map(is_picture_name, content)):
        return collect(path, [_row(path, "its object", content, predictions)])
    for key, value in content.items():
        if isinstance(value, list) and value and all(map(_is_record, value)):
            places = ((f"{key}, {place}", record) for place, record in _list_entries(value))
            return collect(path, (_row(path, place, record, predictions) for place, record in places))
    if odd := [key for key in content if plain_name(key) in _KEYS]:
        raise DataError(f"{path}: has a {odd[0]!r} and no caption beside it; expected an object image_id -> caption")
    return collect(path, [_filled(path, f"{key!r}", key, value, None, predictions) for key, value in content.items()])


def _is_list(path: str | Path) -> bool:
    try:
        with Path(path).open("rb") as file:
            return decode(file.read(_HEAD), "replace").lstrip().startswith("[")
    except OSError:
        return False  # reading the lines says why


def is_record(line: str) -> bool:
    """Tell whether a line of JSON is a record by itself, as in a file of JSON lines."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return _is_record(record)


def is_whole(line: str) -> bool:
    """Tell whether a line is JSON by itself."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and find_columns(list(value)) is not None


def _list_entries(content: list[Any]) -> Iterator[tuple[str, Any]]:
    for index, record in enumerate(content, start=1):
        yield f"entry {index}", record


def _json_lines(path: str | Path) -> Iterator[tuple[str, Any]]:
    for number, line in lines(path):
        try:
            yield f"line {number}", json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not JSON ({getattr(error, 'msg', error)})") from None


def _row(path: str | Path, place: str, record: Any, predictions: bool) -> Row:
    if isinstance(record, list) and len(record) == 2 and isinstance(record[0], str | int):
        return _filled(path, place, record[0], record[1], None, predictions)
    columns = find_columns(list(record), predictions) if isinstance(record, Mapping) else None
    if columns is None and isinstance(record, Mapping) and len(record) == 1 and not _KEYS & {*map(plain_name, record)}:
        return _filled(path, place, *next(iter(record.items())), None, predictions)
    if columns is None:
        hint = ""
        if isinstance(record, str):
            hint = "; plain captions without pictures can only be scored, with --parallel"
        raise DataError(f"{path}: {place} lacks an `image` or a `caption`; correct or remove it{hint}")
    return _filled(path, place, record[columns.image], record, columns, predictions)


def _filled(path: str | Path, place: str, picture: Any, value: Any, columns: Columns | None, predictions: bool) -> Row:
    name = spell_id(picture)
    try:
        texts = read_texts(value) if columns is None else _texts(value, columns)
        if predictions and not texts.captions:
            texts = Texts([""])
    except NotTextError:
        name, texts = None, Texts([])
    filled = any(text.strip() for text in texts.captions)
    if name is None or not texts.captions or not (filled or predictions):
        keys = ("picture", "caption") if columns is None else (columns.image, columns.captions[0])
        raise DataError(f"{path}: {place}: the `{keys[0]}` or the `{keys[1]}` is no text; correct it")
    split = value[columns.split] if columns is not None and columns.split else None
    captions = texts.captions if predictions else [text for text in texts.captions if text.strip()]
    return Row(name, captions, split if isinstance(split, str) else None, texts.listed, texts.ranked)


def _texts(record: Mapping[str, Any], columns: Columns) -> Texts:
    """Return the captions of all of a record's columns, and the alternatives beside the best one."""
    parts = [read_texts(record[key], key) for key in columns.captions]
    for key, value in record.items():
        if plain_name(key) == "alternatives" and isinstance(value, list):
            parts.append(read_texts(value, key))
    listed = len(parts) == 1 and parts[0].listed
    ranked = columns.ranked or any(part.ranked for part in parts)
    return Texts([text for part in parts for text in part.captions], listed, ranked)
