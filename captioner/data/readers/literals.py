"""Lists that a text spells as JSON, as Python or as NumPy writes them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

_OPENING = re.compile(r"""[\[(]\s*+(?:u?["']|[\[({])""")
# NumPy puts no commas between items, and Python takes two strings side by side for one.
_STRING = r"""'(?:[^'\\]|\\.)*+(?:'|\Z)|"(?:[^"\\]|\\.)*+(?:"|\Z)"""
_ITEM = re.compile(rf"""({_STRING}|[\])}}])(?=(\s*+(?:u?["']|[\[({{]))?)""", re.DOTALL)


def read_list(text: str) -> list[Any] | None:
    """Return the list that a text spells, of texts, lists or objects; None where it is something else.

    Tuples are lists. Items that have no comma between them are items of their own.
    """
    if text[:1] not in ("[", "(") or text[-1:] not in ("]", ")") or not _OPENING.match(text):
        return None
    return next((found for parse in _PARSERS if (found := _parsed(parse, text)) is not None), None)


def _parsed(parse: Callable[[str], Any], text: str) -> list[Any] | None:
    try:
        # JSON turns tuples into lists, and refuses sets and bytes
        found = json.loads(json.dumps(parse(text)))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _python(text: str) -> Any:
    return ast.literal_eval(_ITEM.sub(lambda item: item[1] if item[2] is None else f"{item[1]},", text))


_PARSERS: tuple[Callable[[str], Any], ...] = (json.loads, _python)
