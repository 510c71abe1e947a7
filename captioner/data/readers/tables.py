"""Readers of tables: csv, tsv and their like, JSON lines and JSON lists, whose columns name pictures and captions."""

from __future__ import annotations

import ast
import csv
import io
import json
import ntpath
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from captioner.data.captions import Captions, collect
from captioner.data.readers.flickr import lines, match_lines
from captioner.storage import DataError, read_json, read_text

Row = tuple[str, Sequence[str], str | None]

# In the order of preference: BLIP's files have `image` and an `image_id` of their own beside it.
IMAGE_COLUMNS = (
    "image", "image_name", "file_name", "filename", "image_path", "filepath", "path", "file", "picture", "img",
    "image_id",
)  # fmt: skip
CAPTION_COLUMNS = ("caption", "captions", "comment", "comments", "raw", "sentence", "sentences", "text", "description")
SPLIT_COLUMN = "split"
DELIMITERS = ",\t;|"

_NUMBERED = re.compile(r"(?:caption|comment|sentence|text|description)[ _-]?\d+")
# Flickr30k's published results.csv lacks the second bar in one of its lines, so it may be missing.
_BAR_LINE = re.compile(r"(?P<name>[^|]*[^|\s])\s*\|\s*\d+\s*[|\s]\s*(?P<caption>.*\S.*)")


class Columns(NamedTuple):
    """Where a table has what: names of columns as they stand in it."""

    image: str
    captions: tuple[str, ...]
    split: str | None


def find_columns(names: Sequence[str]) -> Columns | None:
    """Return which of a table's columns hold pictures, captions and splits; None where one of the first two is missing.

    A table has one column of captions, or several with numbers (`caption_1`, `caption_2`, ...).
    """
    known = {name.strip().lower(): name for name in reversed(names)}
    image = next((known[name] for name in IMAGE_COLUMNS if name in known), None)
    plain = next(([known[name]] for name in CAPTION_COLUMNS if name in known), [])
    numbered = [name for name in names if _NUMBERED.fullmatch(name.strip().lower())]
    if image is None or not plain + numbered:
        return None
    return Columns(image, (*plain, *numbered), known.get(SPLIT_COLUMN))


def read_table(path: str | Path) -> Captions:
    """Read a table with a header: commas, tabs, semicolons or bars between its columns.

    A picture's captions may stand in several rows, in several columns, or as a list in one cell. Where there is one
    column of captions and it is the last, its commas need no quotes. A column `split` gives the splits.

    Raises:
        DataError: the file cannot be read, is empty, has no column of pictures or of captions, or a line does not fit.
    """
    header = read_text(path).partition("\n")[0]
    if _is_flickr30k_header(header):
        return collect(path, match_lines(path, _BAR_LINE, "name.jpg| 0| caption", start=2))
    return collect(path, _without_common_folder(list(_rows(path, _delimiter(header) or ","))))


def is_table_header(line: str) -> bool:
    """Tell whether `line` heads a table that `read_table` knows."""
    return _delimiter(line) is not None


def _is_flickr30k_header(line: str) -> bool:
    return [column.strip().lower() for column in line.split("|")] == ["image_name", "comment_number", "comment"]


def _delimiter(header: str) -> str | None:
    header = header.rstrip("\r\n")
    return next((sign for sign in DELIMITERS if find_columns(next(csv.reader([header], delimiter=sign), []))), None)


def _rows(path: str | Path, delimiter: str) -> Iterator[Row]:
    text = io.StringIO(read_text(path).replace("\r\n", "\n"))  # its lines end at line feeds only
    if delimiter == "|":
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = next(reader, [])
    columns = find_columns(header)
    if columns is None:
        raise DataError(f"{path}: line 1 names no columns `image` and `caption`; add a header line")
    greedy = columns.captions == (header[-1],)
    number = reader.line_num + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if greedy and len(cells) > len(header):
                    cells[len(header) - 1 :] = [delimiter.join(cells[len(header) - 1 :])]
                row = dict(zip(header, cells, strict=False))
                captions = [text for name in columns.captions for text in _listed(row.get(name, ""))]
                if len(cells) != len(header) or not row[columns.image].strip() or not captions:
                    raise DataError(f"{path}: line {number} is not `{delimiter.join(header)}`; correct or remove it")
                yield row[columns.image].strip(), captions, row[columns.split] if columns.split else None
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {number} has a quote that does not close ({error}); correct it") from None


def _listed(cell: str) -> list[str]:
    """Return the captions in a cell: itself, or the texts of a list written as JSON or as Python writes it."""
    cell = cell.strip()
    if cell.startswith(('["', "['")) and cell.endswith("]"):
        for parse in (json.loads, ast.literal_eval):
            try:
                found = parse(cell)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(found, list) and all(isinstance(text, str) for text in found):
                return [text for text in found if text.strip()]
    return [cell] if cell else []


def _without_common_folder(rows: list[Row]) -> list[Row]:
    """Make absolute paths relative to the folder that all of them lie in: an id is relative to the pictures' folder."""
    rows = [(name.replace("\\", "/").removeprefix("./"), captions, split) for name, captions, split in rows]
    if not all(posixpath.isabs(name) or ntpath.splitdrive(name)[0] for name, _, _ in rows):
        return rows
    folders = {posixpath.dirname(name) for name, _, _ in rows}
    depth = len(posixpath.commonprefix([f"{folder}/" for folder in folders]).rpartition("/")[0]) + 1
    return [(name[depth:], captions, split) for name, captions, split in rows]


def read_records(path: str | Path) -> Captions:
    """Read JSON lines or a JSON list of records: {"image": "a.jpg", "caption": "A dog ."}.

    The keys are those of a table's columns; `captions` may be a list. COCO's results form and BLIP's files are such
    lists.

    Raises:
        DataError: the file cannot be read, is empty, is not JSON, or a record lacks a picture or a caption.
    """
    is_list = read_text(path).lstrip().startswith("[")
    records = _list_entries(path) if is_list else _json_lines(path)
    return collect(path, _without_common_folder([_record(path, place, record) for place, record in records]))


def is_record(line: str) -> bool:
    """Tell whether a line of JSON is a record by itself, as in a file of JSON lines."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and find_columns(list(record)) is not None


def _list_entries(path: str | Path) -> Iterator[tuple[str, Any]]:
    for index, record in enumerate(read_json(path), start=1):
        yield f"entry {index}", record


def _json_lines(path: str | Path) -> Iterator[tuple[str, Any]]:
    for number, line in lines(path):
        try:
            yield f"line {number}", json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not JSON ({getattr(error, 'msg', error)})") from None


def _record(path: str | Path, place: str, record: Any) -> Row:
    columns = find_columns(list(record)) if isinstance(record, Mapping) else None
    if columns is None:
        raise DataError(f"{path}: {place} lacks an `image` or a `caption`; correct or remove it")
    name = record[columns.image]
    texts = [text for key in columns.captions for text in _texts(record[key])]
    named = isinstance(name, str | int) and not isinstance(name, bool) and str(name).strip()
    if not named or not all(isinstance(text, str) for text in texts) or not any(text.strip() for text in texts):
        raise DataError(f"{path}: {place}: the `{columns.image}` or the `{columns.captions[0]}` is no text; correct it")
    split = record[columns.split] if columns.split else None
    captions = [text for text in texts if text.strip()]
    return str(name).strip(), captions, split if isinstance(split, str) else None


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
