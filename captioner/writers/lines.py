"""Write captions to standard output: one line per caption for people, or one JSON object per picture for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from captioner.writers.result import Captioned, Write

if TYPE_CHECKING:
    from captioner.generation.caption import Caption


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class PlainLines:
    """Lines of `file<TAB>caption`, or of the caption only if a single picture was named.

    Args:
        write: receives the lines.
        named_alone: whether a single picture was named.
    """

    def __init__(self, write: Write, named_alone: bool = False) -> None:
        self._write, self._named_alone = write, named_alone

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        for caption in result.captions:
            self._write(caption.text if self._named_alone else f"{one_line(result.called)}\t{caption.text}")

    def close(self) -> None:
        """See Writer.close."""


class JsonLines:
    """Lines of `{"file": ..., "captions": [{"caption": ..., "log_prob": ..., "score": ..., "confidence": ...}]}`.

    The captions are sorted by `score`, best first. A picture without a caption, because the confidence was too low,
    has an empty list.

    Args:
        write: receives the lines.
    """

    def __init__(self, write: Write) -> None:
        self._write = write

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        self._write(as_json({"file": result.called, "captions": [entry(each) for each in result.captions]}))

    def close(self) -> None:
        """See Writer.close."""


def entry(caption: Caption) -> dict[str, Any]:
    """Return a caption as JSON values; unknown values are null."""

    def rounded(value: float | None, digits: int = 6) -> float | None:
        return None if value is None or value in (float("inf"), float("-inf")) else round(value, digits)

    return {
        "caption": caption.text,
        "log_prob": rounded(caption.log_prob),
        "score": rounded(caption.score),
        "confidence": rounded(caption.confidence, 4),
    }


def as_json(content: Mapping[str, Any]) -> str:
    """Return JSON on one line; bytes of a file name that are not UTF-8 are escaped, so that the line is UTF-8."""
    line = json.dumps(content, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(content)
    return line


def one_line(path: str) -> str:
    """Return a path with escaped control characters, which could end a line or a column, or change the terminal."""
    if not _CONTROL.search(path):
        return path
    return _CONTROL.sub(lambda sign: _ESCAPES.get(sign[0], f"\\x{ord(sign[0]):02x}"), path.replace("\\", "\\\\"))
