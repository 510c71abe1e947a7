"""Readers of JSON: JSON lines, lists of records, and objects whose keys are pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.data.captions import SPLIT_NAMES, Captions
from captioner.data.readers.collect import Row, collect
from captioner.data.readers.columns import (
    IMAGE_COLUMNS,
    SPLIT_COLUMN,
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
from captioner.notes import note
from captioner.storage import DataError, read_json

_HEAD = 2**16  # bytes in which a list must begin
_KEYS = frozenset(IMAGE_COLUMNS)  # never names of pictures
_ABOUT = frozenset(["info", "license", "licenses", "categories", "meta", "metadata"])  # of the data set
_SPLITS = frozenset([*SPLIT_NAMES, *SPLIT_NAMES.values()])


def read_records(path: str | Path, predictions: bool = False) -> Captions:
    """Read JSON lines or a JSON list of records: {"image": "a.jpg", "caption": "A dog ."}.

    The keys are those of a table's columns. `captions` may be a list of texts, of words or of records. COCO's results
    format, BLIP's files and the output of `captioner predict --json` are such lists. A list may also contain pairs of a
    picture and its captions.

    Args:
        path: the file.
        predictions: whether a caption may be blank, and predictions are preferred to references.

    Raises:
        DataError: the file cannot be read, is empty, is not JSON, or a record has no picture or no caption.
    """
    records = _list_entries(read_json(path)) if _is_list(path) else _json_lines(path)
    return collect(path, (_row(path, place, record, predictions) for place, record in records))


def read_mapping(path: str | Path, predictions: bool = False) -> Captions:
    """Read a JSON object whose keys are pictures: {"a.jpg": "A dog ."} or {"a.jpg": ["A dog .", "Dogs"]}.

    The object may also be a single record, or contain a list of records under some key. Keys that are names of splits
    contain lists of records, or objects of this kind. Keys that are pictures may contain lists of records, too.

    Raises:
        DataError: the file cannot be read, is not such JSON, has no captions, or has several lists of records that
            cannot be combined.
    """
    content = read_json(path, different_keys=True)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object image_id -> caption")
    if find_columns(list(content), predictions) and not any(map(is_picture_name, content)):
        return collect(path, [_row(path, "its object", content, predictions)])
    if found := {key: value for key, value in content.items() if _holds_records(key, value)}:
        return collect(path, _of_lists(path, content, found, predictions))
    if content and all(_is_split(key) and _is_inner(value) for key, value in content.items()):
        return collect(path, _of_splits(path, content, predictions))
    if odd := [key for key in content if plain_name(key) in _KEYS]:
        raise DataError(f"{path}: has a {odd[0]!r} without a caption; expected an object image_id -> caption")
    return collect(path, [_filled(path, f"{key!r}", key, value, None, predictions) for key, value in content.items()])


def _holds_records(key: str, value: Any) -> bool:
    return plain_name(key) not in _ABOUT and isinstance(value, list) and bool(value) and all(map(_is_record, value))


def _is_split(key: str) -> bool:
    return key.strip().lower() in _SPLITS


def _is_inner(value: Any) -> bool:
    """Return whether a value is an object of pictures, and not the captions of one picture."""
    return isinstance(value, dict) and bool(value) and not _is_captioned(value)


def _is_captioned(value: dict[str, Any]) -> bool:
    try:
        read_texts(value)
    except NotTextError:
        return False
    return True


def _of_lists(
    path: str | Path, content: dict[str, Any], found: dict[str, list[Any]], predictions: bool
) -> Iterator[Row]:
    """Yield the rows of an object's lists of records: one list, one per split, or one per picture."""
    splits = {key: value for key, value in content.items() if _is_split(key) and isinstance(value, list)}
    pictures = {
        key: value for key, value in content.items() if isinstance(value, list) and plain_name(key) not in _ABOUT
    }
    if found.keys() <= splits.keys():
        for key, value in splits.items():
            if not any(map(_is_record, value)):
                note(path, f"its {key!r} contains no captions and is skipped")
                continue
            for place, record in _list_entries(value):
                yield _row(path, f"{key}, {place}", record, predictions)._replace(split=key)
    elif all(_is_picture(key, found.get(key, ())) for key in pictures):
        for key, value in pictures.items():
            if key not in found or is_picture_name(key):
                yield _filled(path, f"{key!r}", key, value, None, predictions)
                continue
            for place, record in _list_entries(value):
                yield _row(path, f"{key}, {place}", record, predictions)
    elif len(found) == 1:
        for key, value in found.items():
            for place, record in _list_entries(value):
                yield _row(path, f"{key}, {place}", record, predictions)
    else:
        first, second = list(found)[:2]
        raise DataError(
            f"{path}: has several lists of records, such as {first!r} and {second!r}; join them into one, "
            "or name them by their splits (train, dev, test)"
        )


def _is_picture(key: str, records: Sequence[Any]) -> bool:
    """Return whether a key is a picture, by its name or by the records under it."""
    if is_picture_name(key) or key.isdecimal():
        return True
    named = (find_columns(list(record)) for record in records)
    return bool(records) and all(
        columns is not None and spell_id(record[columns.image]) == key
        for columns, record in zip(named, records, strict=True)
    )


def _of_splits(path: str | Path, content: dict[str, Any], predictions: bool) -> Iterator[Row]:
    for split, pictures in content.items():
        for key, value in pictures.items():
            yield _filled(path, f"{split}, {key!r}", key, value, None, predictions)._replace(split=split)


def _is_list(path: str | Path) -> bool:
    try:
        with Path(path).open("rb") as file:
            return decode(file.read(_HEAD), "replace").lstrip().startswith("[")
    except OSError:
        return False  # reading the lines gives the reason


def is_record(line: str) -> bool:
    """Return whether a line is a record by itself, as in a file of JSON lines."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return _is_record(record)


def is_whole(line: str) -> bool:
    """Return whether a line is JSON by itself."""
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
        raise DataError(f"{path}: {place} has no `image` or no `caption`; correct or remove it{hint}")
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
        raise DataError(f"{path}: {place}: the `{keys[0]}` or the `{keys[1]}` is not text; correct it")
    split = (value[columns.split] if columns.split else None) if columns is not None else _inner_split(value)
    captions = texts.captions if predictions else [text for text in texts.captions if text.strip()]
    return Row(name, captions, split if isinstance(split, str) else None, texts.listed, texts.ranked)


def _inner_split(value: Any) -> Any:
    """Return the split in a picture's record, or in the first of its records."""
    records = value if isinstance(value, list) else [value]
    found = (record for record in records if isinstance(record, Mapping))
    return next((record[key] for record in found for key in record if plain_name(key) == SPLIT_COLUMN), None)


def _texts(record: Mapping[str, Any], columns: Columns) -> Texts:
    """Return the captions of all columns of a record, with its alternatives."""
    parts = [read_texts(record[key], key) for key in columns.captions]
    for key, value in record.items():
        if plain_name(key) == "alternatives" and isinstance(value, list):
            parts.append(read_texts(value, key))
    listed = len(parts) == 1 and parts[0].listed
    ranked = columns.ranked or any(part.ranked for part in parts)
    return Texts([text for part in parts for text in part.captions], listed, ranked)
