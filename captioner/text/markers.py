"""Marks of beginning and end that other tools leave in captions: `<start> a dog <end>`, `startseq ... endseq`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_BEGIN = "start|bos|sos|go|begin|beginning|cls|s|start_of_(?:text|sentence|seq(?:uence)?)|startof(?:text|sentence|seq)"
_END = "end|eos|stop|sep|/s|end_of_(?:text|sentence|seq(?:uence)?)|endof(?:text|sentence|seq)"
_FILL = "pad|null|nul|blank"
_SEQ = r"_?(?:seq|sentence|token|tok)"


def _spelled(names: str) -> str:
    """Return how a mark can be written: in brackets, signs or underscores, none of which a caption holds by itself."""
    return (
        rf"<\s*+/?+\s*+(?:{names})(?:{_SEQ})?\s*>|\[\s*(?:{names})(?:{_SEQ})?\s*\]|\{{\s*(?:{names})(?:{_SEQ})?\s*\}}"
        rf"|<\|\s*(?:{names}|endoftext|im_(?:start|end))\s*\|>|(?:\#{{1,3}}|@@|\$\$)(?:{names})(?:{_SEQ})?(?:\#{{1,3}}|@@|\$\$)"
        rf"|_{{1,2}}(?:{names})_{{1,2}}"
    )


_EITHER = f"{_BEGIN}|{_END}|{_FILL}"
# Words that no caption holds by themselves; `bos` and the like need both ends to be taken for marks.
_FIRST = re.compile(
    rf"\s*(?:(?:{_spelled(_EITHER)}|\b(?:(?:start|begin|bos|sos)_?(?:seq|token|tok)|xxbos)\b)\s*)+", re.IGNORECASE
)
_LAST = re.compile(
    rf"(?:\s*+(?:{_spelled(_EITHER)}|\b(?:(?:end|stop|eos)_?(?:seq|token|tok)|xxeos)\b))+(?P<stop>\s*+[.]?+)\s*+\Z",
    re.IGNORECASE,
)
_TAIL = 200  # characters at a caption's end that are looked at
_PAIRS = {"start": "end", "bos": "eos", "sos": "eos", "begin": "end", "cls": "sep", "s": "/s"}
_MOST = 0.5  # of the captions bear marks that nothing else can be
_NEARLY_ALL = 0.9  # of them are between two plain words
_FEWEST = 2  # captions, before plain words count as marks
_SAMPLE = 500  # captions that are looked at first
_SOME = 0.25  # of the sample, before all are looked at


class Marked(NamedTuple):
    """What was found at the ends of captions.

    Attributes:
        first, last: as they are written; empty where there is none.
        number: how many captions have one of them.
    """

    first: str
    last: str
    number: int


def find_marks(captions: Iterable[str]) -> Marked | None:
    """Return the marks that most captions begin or end with, or None."""
    texts = [text for text in captions if text.strip()]
    sample = texts[:: len(texts) // _SAMPLE + 1]
    return _found(texts) if len(sample) == len(texts) or _found(sample, _SOME, _SOME) else None


def _found(texts: list[str], most: float = _MOST, nearly_all: float = _NEARLY_ALL) -> Marked | None:
    firsts = [found[0].strip() for text in texts if (found := _FIRST.match(text))]
    lasts = [
        found[0].removesuffix(found["stop"] or "").strip() for text in texts if (found := _LAST.search(text[-_TAIL:]))
    ]
    count = max(len(firsts), len(lasts))
    if texts and count > most * len(texts):
        return Marked(_commonest(firsts), _commonest(lasts), count)
    words = [(text.split(None, 1)[0], text.rsplit(None, 1)[-1]) for text in texts]
    pairs = [pair for pair in words if _PAIRS.get(pair[0].lower()) == pair[1].lower()]
    if len(texts) >= _FEWEST and len(pairs) >= nearly_all * len(texts):
        return Marked(*pairs[0], len(pairs))
    return None


def strip_marks(text: str, marked: Marked) -> str:
    """Return a caption without the marks at its ends, those of `find_marks` and others of their kind."""
    text = _FIRST.sub("", text, count=1) if _FIRST.match(text) else text
    if found := _LAST.search(text, max(0, len(text) - _TAIL)):
        text = text[: found.start()] + found["stop"]
    words = text.split()
    if marked.first and words and words[0] == marked.first:
        text = text.split(None, 1)[1] if len(words) > 1 else ""
    if marked.last and words[1:] and words[-1] == marked.last:
        text = text.rsplit(None, 1)[0]
    return text.strip()


def _commonest(found: list[str]) -> str:
    return max(sorted(set(found)), key=found.count, default="") if len(found) < 1000 else found[0]
