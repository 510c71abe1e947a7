"""Reader of tables such as csv and tsv, whose columns contain pictures and captions."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from captioner.data.captions import Captions
from captioner.data.readers.collect import Row, collect
from captioner.data.readers.columns import NotTextError, Texts, known_names, plain_name, read_cell
from captioner.data.readers.flickr import match_lines
from captioner.data.readers.headers import FLICKR30K, Head, find_head, split_line, unquoted
from captioner.images.ids import is_picture_name, whole_numbers
from captioner.notes import note
from captioner.storage import DataError, read_text

# In Flickr30k's published results.csv one line has no second bar, so the bar is optional.
_BAR_LINE = re.compile(r"\s*+(?P<name>[^|][^|]*+)\|\s*+\d++(?:\s*+\|\s*+|\s++(?!\|))(?P<caption>\S.*)")
_RANK = re.compile(r"\s*[0-9]{1,9}\s*")
_QUOTED = re.compile(r'\s*"(?:[^"]|"")*"\s*')


def read_table(path: str | Path, predictions: bool = False) -> Captions:
    """Read a table: commas, tabs, semicolons or bars between its columns.

    A picture's captions may be in several rows, in several columns, or in a list in one cell. If the only column of
    captions is the last one, delimiters in it need no quotes. A column `split` gives the splits. A table without a
    header is read if one of its columns has names of pictures and one has text.

    Args:
        path: the file.
        predictions: whether a caption may be blank, and predictions are preferred to references.

    Raises:
        DataError: the file cannot be read, is empty, its columns are not recognized, or a line does not fit.
    """
    text = read_text(path)
    lines = text.split("\n")
    head = find_head(lines, predictions)
    if head is None:
        first = next((number for number, line in enumerate(lines, start=1) if line.strip()), 1)
        raise DataError(
            f"{path}: line {first} has no known column names; add a header line with names such as {known_names()}"
        )
    if head.headless:
        picture, caption = head.columns.image, head.columns.captions[0]
        note(path, f"has no header line; {picture} is read as the picture and {caption} as the caption")
    if [plain_name(name) for name in head.names] == FLICKR30K and head.delimiter == "|":
        return collect(path, match_lines(path, _BAR_LINE, "name.jpg| 0| caption", start=head.start))
    return collect(path, _rows(path, lines, head, predictions))


def _rows(path: str | Path, lines: Sequence[str], head: Head, predictions: bool) -> Iterator[Row]:
    names, columns = head.names, head.columns
    greedy = columns.captions == (names[-1],)
    ranks = next((place for place, name in enumerate(names) if plain_name(name) == "rank"), None)
    found: list[tuple[int, Row]] = []
    repeated = 0
    for number, cells in _cells(path, lines, head):
        if head.delimiter == "|" and _is_rule(cells):
            continue
        filled = max((place for place, cell in enumerate(cells, start=1) if cell.strip()), default=0)
        if not filled:
            continue
        if not head.headless and cells == names:
            repeated += 1
            continue
        cells = cells[: max(filled, len(names))]
        if greedy and len(cells) > len(names):
            cells = [*cells[: len(names) - 1], head.delimiter.join(cells[len(names) - 1 :])]
        row = dict(zip(names, cells, strict=False))
        texts = _texts(path, number, row, columns.captions)
        has_text = any(text.strip() for text in texts.captions)
        if len(cells) != len(names) or not row[columns.image].strip() or not (has_text or predictions):
            form = head.delimiter.join(names) if not head.headless else head.delimiter.join(["image", "caption"])
            raise DataError(f"{path}: line {number} is not `{form}`; correct or remove it")
        captions = [text for text in texts.captions if text.strip()] or [""]
        split = row[columns.split] if columns.split else None
        order = int(cells[ranks]) if ranks is not None and _RANK.fullmatch(cells[ranks]) else 0
        found.append((order, Row(row[columns.image].strip(), captions, split, texts.listed, columns.ranked)))
    if repeated:
        note(path, f"its header line occurs {repeated + 1:,} times; it is not a caption and is skipped")
    called = whole_numbers({row.name for _, row in found})
    yield from (row._replace(name=called[row.name]) for _, row in sorted(found, key=lambda ranked: ranked[0]))


def _is_rule(cells: Sequence[str]) -> bool:
    """Return whether a row is the line below a header in Markdown: |---|:--|."""
    return any("--" in cell for cell in cells) and not any(cell.strip(" -:+") for cell in cells)


def _texts(path: str | Path, number: int, row: dict[str, str], columns: Sequence[str]) -> Texts:
    try:
        parts = [read_cell(row.get(name, ""), name) for name in columns]
    except NotTextError:
        raise DataError(
            f"{path}: line {number} has a list of numbers, or of objects without captions; write the words instead"
        ) from None
    listed = len(parts) == 1 and parts[0].listed
    return Texts([text for part in parts for text in part.captions], listed)


def _cells(path: str | Path, lines: Sequence[str], head: Head) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of a row's first line and its cells."""
    body = lines[head.start - 1 :]
    if head.delimiter in "\t|" and not _is_quoted(body, head.delimiter):
        places = [place for place, name in enumerate(head.names) if name not in head.columns.captions]
        for number, line in enumerate(body, start=head.start):
            cells = line.split(head.delimiter)
            for place in places if '"' in line else ():
                if place < len(cells):
                    cells[place] = unquoted(cells[place])
            yield number, cells
        return
    reader = csv.reader(io.StringIO("\n".join(body)), delimiter=head.delimiter, strict=True)
    number = head.start
    try:
        for cells in reader:
            last = head.start + reader.line_num - 1
            if last > number and any(_holds_rows(cell, head) for cell in cells):
                raise DataError(
                    f"{path}: line {number} opens a quote that closes in line {last}, with whole rows in between; "
                    'write a quote within quotes as ""'
                )
            yield number, cells
            number = last + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {number} {_fault(error)}") from None


def _fault(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text:
        limit = f"{csv.field_size_limit():,}"
        return f"begins a cell of more than {limit} characters; a closing quote may be missing"
    if "expected after" in text:
        return 'has text after a closing quote; write a quote within quotes as ""'
    return f"has a quote that does not close ({text}); correct it"


def _is_quoted(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether all quotes in a table with tabs or bars are those of csv, and no cell contains a whole row."""
    quoting = [line for line in lines if '"' in line]
    cells = (cell for line in quoting for cell in line.split(delimiter) if '"' in cell)
    if all(map(_QUOTED.fullmatch, cells)):
        return True
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return all(delimiter not in cell for row in rows for cell in row)


def _holds_rows(cell: str, head: Head) -> bool:
    """Return whether a cell of several lines contains rows of its table."""
    place = head.names.index(head.columns.image)
    for line in cell.split("\n")[1:]:
        cells = split_line(line, head.delimiter)
        if len(cells) >= len(head.names):
            name = cells[place].strip()
            if is_picture_name(name) or (name and not name.split()[1:] and any(map(str.isdigit, name))):
                return True
    return False
