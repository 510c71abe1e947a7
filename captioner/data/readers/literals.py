"""Reads lists in the notation of JSON, Python or NumPy."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

_OPENING = re.compile(r"""[\[(]\s*+(?:u?["']|[\[({])""")
# NumPy writes no commas between items, and Python joins two adjacent strings.
_STRING = r"""'(?:[^'\\]|\\.)*+(?:'|\Z)|"(?:[^"\\]|\\.)*+(?:"|\Z)"""
_ITEM = re.compile(rf"""({_STRING}|[\])}}])(?=(\s*+(?:u?["']|[\[({{]))?)""", re.DOTALL)


def read_list(text: str) -> list[Any] | None:
    """Return the list of texts, lists or objects in a text; None if the text is something else.

    Tuples become lists. Items without a comma between them are separate items.
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
