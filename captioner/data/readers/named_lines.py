"""Lines that begin with a picture's file name: `my dog.jpg A dog`, `a.jpg: A dog`, `"a.jpg" "A dog"`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from captioner.data.readers.collect import LONGEST_NAME
from captioner.images.ids import EXTENSIONS

MOSTLY = 0.9  # share of lines that must begin like this

_ENDING = re.compile(rf"""\.(?:{"|".join(EXTENSIONS)})(?:\#\d+)?(?=["'\s:=]|->|\Z)""", re.IGNORECASE)
_SIGN = re.compile(r"\s*+(->|=>|:|=|)\s*+")


def split_named(lines: Sequence[str]) -> list[tuple[str, str] | None]:
    """Return the name and the caption of each line that begins with a picture's file name, None for other lines.

    All are None unless nearly all lines begin like this. A sign such as `:` or `->` between the two is removed if
    nearly all lines have the same sign; so are quotes around the name or the caption.
    """
    parts = [_split(line.strip()) for line in lines]
    named = [part for part in parts if part is not None]
    if not named or len(named) < MOSTLY * len(lines):
        return [None] * len(lines)
    sign, number = Counter(_sign(rest) for _, rest in named).most_common(1)[0]
    sign = sign if number >= MOSTLY * len(named) else ""
    return [None if part is None else (part[0], _caption(part[1], sign)) for part in parts]


def _split(line: str) -> tuple[str, str] | None:
    """Return the name at a line's beginning and what follows it."""
    found = _ENDING.search(line[:LONGEST_NAME])
    if found is None:
        return None
    name, rest = line[: found.end()], line[found.end() :]
    quote = name[0]
    if quote in ("'", '"') and rest.startswith(quote):
        name, rest = name[1:], rest[1:]
    return name, rest


def _sign(rest: str) -> str:
    found = _SIGN.match(rest)
    return found[1] if found else ""


def _caption(rest: str, sign: str) -> str:
    text = rest.strip().removeprefix(sign).strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1] if quoted else text
