"""Readers of lines: Flickr's token files and descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from captioner.data.captions import Captions
from captioner.data.readers.collect import Row, collect
from captioner.data.readers.columns import NotTextError, find_columns, read_cell
from captioner.data.readers.named_lines import split_named
from captioner.images.ids import EXTENSIONS
from captioner.storage import DataError, read_text

TOKEN_LINE = re.compile(r"(?P<name>[^\t]+)#\d+\t(?P<caption>.*\S.*)")

_DESCRIPTION_LINE = re.compile(r"\s*(?:(?P<path>[^\t]*\.\w+)\s*\t|(?P<name>\S+)(?:\s|\Z))\s*(?P<caption>.*)")
_LONGEST_BEGIN = 4096  # characters
_ELSEWHERE = re.compile(rf"//[^\s/]+/\S*?\.(?:{'|'.join(EXTENSIONS)})\b", re.IGNORECASE)
# Words that begin sentences and are never names of pictures.
_SENTENCE_STARTS = frozenset(["a", "an", "the", "two", "three", "some", "there", "this", "it", "several", "many"])


def read_tokens(path: str | Path) -> Captions:
    """Read lines of `name.jpg#0<TAB>caption` (Flickr8k.token.txt, Flickr30k's results_20130124.token).

    Raises:
        DataError: the file cannot be read, is empty, or a line has another format (the message names it).
    """
    return collect(path, match_lines(path, TOKEN_LINE, "name.jpg#0<TAB>caption"))


def read_descriptions(path: str | Path, predictions: bool = False) -> Captions:
    """Read lines of `image_id caption` (descriptions.txt). With a tab between the two, the name may contain spaces.

    Args:
        path: the file.
        predictions: whether a caption may be blank.

    Raises:
        DataError: the file cannot be read, is empty, a line has only an id (the message names it), or the lines are
            captions without ids.
    """
    rows: list[Row] = []
    starts = 0
    numbered = list(lines(path))
    numbered = numbered[_is_header(numbered[0][1]) :] if len(numbered) > 1 else numbered
    named = split_named([line for _, line in numbered])
    for (number, line), parts in zip(numbered, named, strict=True):
        if parts is None and (match := _DESCRIPTION_LINE.fullmatch(line)):
            parts = (match["path"] or match["name"]).strip(), match["caption"]
        if parts is None or not (parts[1].strip() or predictions):
            raise DataError(f"{path}: line {number} is not `image_id caption`; correct or remove it")
        starts += parts[0].lower() in _SENTENCE_STARTS
        rows.append(_row(path, number, *parts))
    if all(len(row.name) > 1 and row.name.endswith(":") for row in rows):
        rows = [row._replace(name=row.name[:-1]) for row in rows]
    if starts * 2 > len(rows) and len({row.name.lower() for row in rows} & _SENTENCE_STARTS) > 1:
        raise DataError(
            f"{path}: its lines are captions without image_ids (they begin with {rows[0].name!r}); "
            "write `image_id caption`, or score plain captions with --parallel"
        )
    return collect(path, rows)


def _is_header(line: str) -> bool:
    """Return whether a line names two columns, as `image_id caption` does."""
    return len(words := line.split()) == 2 and find_columns(words) is not None


def match_lines(path: str | Path, form: re.Pattern[str], shown: str, start: int = 1) -> Iterator[Row]:
    """Yield the `name` and the `caption` of every line from line `start` on.

    Raises:
        DataError: a line does not match `form`; the message names it and shows `shown`.
    """
    for number, line in lines(path, start):
        match = form.fullmatch(line)
        if match is None:
            raise DataError(f"{path}: line {number} is not `{shown}`; correct or remove it")
        yield _row(path, number, match["name"].strip(), match["caption"])


def _row(path: str | Path, number: int, name: str, caption: str) -> Row:
    try:
        texts = read_cell(caption)
    except NotTextError:
        raise DataError(
            f"{path}: line {number} has a list of numbers, or of objects without captions; write the words instead"
        ) from None
    return Row(name, texts.captions, listed=texts.listed)


def lines(path: str | Path, start: int = 1) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) from line `start` on, without line ends, blank lines and comments."""
    # not splitlines: captions may contain characters that Unicode counts as line ends
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if number >= start and line.strip() and not is_comment(line):
            yield number, line


def is_comment(line: str) -> bool:
    """Return whether a line is a comment: it begins with `# ` or `//` and is not `//host/share/a.jpg`."""
    begin = line[:_LONGEST_BEGIN].lstrip()
    if begin.startswith("//"):
        return _ELSEWHERE.match(begin) is None
    return begin.startswith("# ") or line.strip() == "#"
