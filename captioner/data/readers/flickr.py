"""Readers of lines: Flickr's token files, and cleaned descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from captioner.data.captions import Captions, collect
from captioner.storage import DataError, read_text

TOKEN_LINE = re.compile(r"(?P<name>[^\t]+)#\d+\t(?P<caption>.*\S.*)")

_DESCRIPTION_LINE = re.compile(r"\s*(?P<name>\S+)\s+(?P<caption>\S.*)")


def read_tokens(path: str | Path) -> Captions:
    """Read lines of `name.jpg#0<TAB>caption` (Flickr8k.token.txt, Flickr30k's results_20130124.token).

    Raises:
        DataError: the file cannot be read, is empty, or a line has another form (it is named).
    """
    return collect(path, match_lines(path, TOKEN_LINE, "name.jpg#0<TAB>caption"))


def read_descriptions(path: str | Path) -> Captions:
    """Read lines of `image_id caption` (descriptions.txt).

    Raises:
        DataError: the file cannot be read, is empty, or a line holds an id alone (it is named).
    """
    return collect(path, match_lines(path, _DESCRIPTION_LINE, "image_id caption"))


def match_lines(
    path: str | Path, form: re.Pattern[str], shown: str, start: int = 1
) -> Iterator[tuple[str, tuple[str], None]]:
    """Yield the `name` and the `caption` of every line from line `start` on.

    Raises:
        DataError: a line does not match `form`; the message names it and shows `shown`.
    """
    for number, line in lines(path, start):
        match = form.fullmatch(line)
        if match is None:
            raise DataError(f"{path}: line {number} is not `{shown}`; correct or remove it")
        yield match["name"], (match["caption"],), None


def lines(path: str | Path, start: int = 1) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) from line `start` on, without line ends; blank lines are passed over."""
    # not splitlines: captions may hold characters that Unicode counts as line ends
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if number >= start and line.strip():
            yield number, line.rstrip("\r")
