"""Readers of the Flickr caption files: the token files, the tables that Kaggle hands out, cleaned descriptions."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from captioner.storage import DataError, read_text
from captioner.vision.images import normalize_id

TOKEN_LINE = re.compile(r"(?P<name>[^\t]+)#\d+\t(?P<caption>.*\S.*)")

_DESCRIPTION_LINE = re.compile(r"\s*(?P<name>\S+)\s+(?P<caption>\S.*)")

# Flickr30k's published results.csv lacks the second bar in one of its lines, so it may be missing.
_BAR_LINE = re.compile(r"(?P<name>[^|]*[^|\s])\s*\|\s*\d+\s*[|\s]\s*(?P<caption>.*\S.*)")
_IMAGE_COLUMNS = ("image", "image_name", "file_name", "filename", "image_id")
_CAPTION_COLUMNS = ("caption", "comment", "captions", "text")


def read_tokens(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read lines of `name.jpg#0<TAB>caption` (Flickr8k.token.txt, Flickr30k's results_20130124.token).

    Returns:
        image_id -> captions, both in the order of the file.

    Raises:
        DataError: the file cannot be read, is empty, or a line has another form (it is named).
    """
    return group(path, _matches(path, TOKEN_LINE, 1, "name.jpg#0<TAB>caption"))


def read_descriptions(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read lines of `image_id caption` (descriptions.txt).

    Returns:
        image_id -> captions, both in the order of the file.

    Raises:
        DataError: the file cannot be read, is empty, or a line holds an id alone (it is named).
    """
    return group(path, _matches(path, _DESCRIPTION_LINE, 1, "image_id caption"))


def read_table(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a table with a header: `image,caption` in CSV, or Flickr30k's `image_name| comment_number| comment`.

    Where the caption is the last column its commas need no quotes.

    Returns:
        image_id -> captions, both in the order of the file.

    Raises:
        DataError: the file cannot be read, is empty, has no column of pictures or of captions, or a line does not fit.
    """
    header = read_text(path).partition("\n")[0]
    if is_bar_header(header):
        return group(path, _matches(path, _BAR_LINE, 2, "name.jpg| 0| caption"))
    return group(path, _rows(path))


def is_bar_header(line: str) -> bool:
    """Tell whether `line` heads a table with bars between its columns."""
    return [column.strip().lower() for column in line.split("|")] == ["image_name", "comment_number", "comment"]


def is_table_header(line: str) -> bool:
    """Tell whether `line` heads a table that `read_table` knows."""
    return is_bar_header(line) or _columns(next(csv.reader([line]), [])) is not None


def group(path: str | Path, rows: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return (a picture's name, caption) pairs by image_id.

    Raises:
        DataError: there are none; `path` names the file that should have held them.
    """
    captions: dict[str, list[str]] = {}
    for name, caption in rows:
        captions.setdefault(name, []).append(caption.strip())
    if not captions:
        raise DataError(f"{path}: holds no captions; name a caption file")
    references: dict[str, list[str]] = {}
    for name, texts in captions.items():
        references.setdefault(normalize_id(name), []).extend(texts)
    return {image_id: tuple(texts) for image_id, texts in references.items()}


def lines(path: str | Path, start: int = 1) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) from line `start` on, without line ends; blank lines are passed over."""
    # not splitlines: captions may hold characters that Unicode counts as line ends
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if number >= start and line.strip():
            yield number, line.rstrip("\r")


def _matches(path: str | Path, form: re.Pattern[str], start: int, shown: str) -> Iterator[tuple[str, str]]:
    for number, line in lines(path, start):
        match = form.fullmatch(line)
        if match is None:
            raise DataError(f"{path}: line {number} is not `{shown}`; correct or remove it")
        yield match["name"], match["caption"]


def _columns(header: list[str]) -> tuple[int, int] | None:
    names = [name.strip().lower() for name in header]
    image = next((names.index(name) for name in _IMAGE_COLUMNS if name in names), None)
    caption = next((names.index(name) for name in _CAPTION_COLUMNS if name in names), None)
    return None if image is None or caption is None else (image, caption)


def _rows(path: str | Path) -> Iterator[tuple[str, str]]:
    rows = csv.reader(read_text(path).replace("\r\n", "\n").splitlines(keepends=True), strict=True)
    header = next(rows, [])
    columns = _columns(header)
    if columns is None:
        raise DataError(f"{path}: line 1 names no columns `image` and `caption`; add a header line")
    image, caption = columns
    number = rows.line_num + 1
    try:
        for row in rows:
            if any(field.strip() for field in row):
                if len(row) > len(header) and caption == len(header) - 1:
                    row[caption:] = [",".join(row[caption:])]
                if len(row) != len(header) or not row[image].strip() or not row[caption].strip():
                    raise DataError(f"{path}: line {number} is not `{','.join(header)}`; correct or remove it")
                yield row[image].strip(), row[caption]
            number = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {number} has a quote that does not close ({error}); correct it") from None
