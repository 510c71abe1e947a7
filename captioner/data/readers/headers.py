"""Reads the first lines of a table: its delimiter and its header, or the kinds of its columns without a header."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from captioner.data.captions import SPLIT_NAMES
from captioner.data.readers.columns import Columns, find_columns
from captioner.data.readers.flickr import is_comment
from captioner.images.ids import is_picture_name

DELIMITERS = "\t,;|"
FLICKR30K = ["image_name", "comment_number", "comment"]
MAX_COLUMNS = 10_000
LOOKED_AT = 500  # examined rows of a table without a header
MOSTLY = 0.9

_SEPARATOR = re.compile(r" *\"?sep=(.)\"? *", re.IGNORECASE)
_DELIMITING = {
    "\t": re.compile(r"\t"),
    # a comma in a caption is followed by a space; a comma in a number is between digits
    ",": re.compile(r"(?<!\d),(?!\s)|,(?![\s\d])|^\S*,"),
    ";": re.compile(r";(?!\s)|^\S*;"),
    "|": re.compile(r"\|"),
}
_NUMBER = re.compile(r"\s*+(?:\d++(?:\.\d*+)?+)?+\s*+")
_SPLITS = frozenset([*SPLIT_NAMES, *SPLIT_NAMES.values()])


class Head(NamedTuple):
    """How a table begins.

    Attributes:
        start: the number of its first line of data, counted from 1.
        delimiter: between its columns.
        names: of its columns; `column 1`, `column 2`, ... without a header.
        columns: which of them contain pictures, captions and splits.
        headless: whether it has no header.
    """

    start: int
    delimiter: str
    names: list[str]
    columns: Columns
    headless: bool = False


def find_head(lines: Sequence[str], predictions: bool = False) -> Head | None:
    """Return how a table begins, or None if `lines`, the first of a file, are not a known kind of table.

    The header may follow blank lines, comments and Excel's `sep=;`. Without a header, a table has one column with names
    of pictures (by their extensions) and one column of text.
    """
    number, given = 0, ""
    for number, line in enumerate(lines, start=1):
        if separator := _SEPARATOR.fullmatch(line):
            given = separator[1]
            continue
        for text in (line, line.lstrip().lstrip("#/")):
            if head := _header(text, number, given, predictions):
                return head
        if line.strip() and not is_comment(line):
            break
    else:
        return None
    body = [line for line in lines[number - 1 : number + LOOKED_AT] if line.strip() and not is_comment(line)]
    delimiters = given or ("\t" if all("\t" in line for line in body) else DELIMITERS)
    return next((head for sign in delimiters if (head := _headless(body, number, sign))), None)


def looks_like_table(lines: Sequence[str]) -> bool:
    """Return whether nearly all lines have a delimiter that sentences do not have: they are not `image_id caption`."""
    lines = [line for line in lines[:LOOKED_AT] if line.strip() and not is_comment(line)]
    if any(_SEPARATOR.fullmatch(line) for line in lines[:1]):
        return True
    counts = (sum(pattern.search(line.strip()) is not None for line in lines) for pattern in _DELIMITING.values())
    return bool(lines) and max(counts) >= MOSTLY * len(lines)


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line, with quotes as in csv if they are well-formed."""
    if delimiter in "\t|":
        return [unquoted(cell) for cell in line.split(delimiter)]
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.split(delimiter)


def unquoted(cell: str) -> str:
    """Return a cell without the quotes around it, for a table in which other quotes are plain characters."""
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _header(line: str, number: int, given: str, predictions: bool) -> Head | None:
    for sign in dict.fromkeys(given + DELIMITERS):
        if 1 < len(names := split_line(line, sign)) <= MAX_COLUMNS and (columns := find_columns(names, predictions)):
            names = _told_apart(names)
            columns = find_columns(names, predictions) or columns
            return None if any(map(is_picture_name, names)) else Head(number + 1, sign, names, columns)
    return None


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return unique names of columns: a second `text` becomes `text.1`."""
    seen: Counter[str] = Counter()
    told = []
    for name in names:
        told.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return told


def _headless(body: Sequence[str], number: int, sign: str) -> Head | None:
    rows = [split_line(line, sign) for line in body]
    width = min(map(len, rows))
    if not 1 < width <= MAX_COLUMNS:
        return None
    kinds = [_kind([row[place] for row in rows]) for place in range(width)]
    if max(map(len, rows)) > width and kinds[-1] == "picture":
        return None
    pictures = [place for place, kind in enumerate(kinds) if kind == "picture"]
    texts = [place for place, kind in enumerate(kinds) if kind == "text"]
    if not pictures and sign == "\t" and width == max(map(len, rows)) == 2 and _has_ids(rows):
        pictures, texts = [0], [1]
    # the first column, or the only one: a second column may have addresses of the same pictures
    pictures = [0] if 0 in pictures else pictures
    if len(pictures) != 1 or len(texts) != 1:
        return None
    names = [f"column {place + 1}" for place in range(width)]
    split = next((names[place] for place, kind in enumerate(kinds) if kind == "split"), None)
    return Head(number, sign, names, Columns(names[pictures[0]], (names[texts[0]],), split), headless=True)


def _kind(cells: Sequence[str]) -> str:
    if all(map(is_picture_name, cells)):
        return "picture"
    if all(map(_NUMBER.fullmatch, cells)):
        return "number"
    return "split" if all(cell.strip().lower() in _SPLITS for cell in cells) else "text"


def _has_ids(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first column contains ids: no white space, and line 1 is not an unknown header."""
    ids = [row[0].strip() for row in rows]
    if not all(ids) or any(name.split()[1:] for name in ids):
        return False
    first_is_word = rows[0][0].strip().isalpha() and not rows[0][1].strip().count(" ")
    return not (first_is_word and len(ids) > 1 and not any(name.isalpha() for name in ids[1:]))
