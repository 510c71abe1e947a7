"""Start and end markers that other tools leave in captions: `<start> a dog <end>`, `startseq ... endseq`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from captioner.text.english import FUNCTION_WORDS

_OF = r"[_-]?of[_-]?(?:text|sentence|seq(?:uence)?|caption|turn)"
_BEGIN = rf"start|bos|sos|sot|go|begin|beginning|cls|s|(?:start|begin){_OF}"
_END = rf"end|eos|eot(?:_id)?|stop|sep|/s|end{_OF}"
_FILL = "pad|null|nul|blank"
_SEQ = r"[_-]?(?:seq|sentence|token|tok)"


def _spelled(names: str) -> str:
    """Return a pattern for the spellings of a mark: in brackets, signs or underscores, which captions do not have."""
    return (
        rf"<{{1,2}}\s*+/?+\s*+(?:{names})(?:{_SEQ})?\s*>{{1,2}}|\[\s*(?:{names})(?:{_SEQ})?\s*\]|\{{\s*(?:{names})(?:{_SEQ})?\s*\}}"
        rf"|<\|\s*(?:{names}|endoftext|im_(?:start|end))\s*\|>|(?:\#{{1,3}}|@@|\$\$)(?:{names})(?:{_SEQ})?(?:\#{{1,3}}|@@|\$\$)"
        rf"|_{{1,2}}(?:{names})_{{1,2}}|\|(?:{names})(?:{_SEQ})?\|"
    )


_EITHER = f"{_BEGIN}|{_END}|{_FILL}"
# Words that captions do not contain; `bos` and similar words count as marks only if they are at both ends.
_FIRST_WORD = r"\b(?:(?:start|begin|bos|sos|st)_?(?:of_?)?(?:seq|token|tok)|xxbos)\b"
_LAST_WORD = r"\b(?:(?:end|stop|eos)_?(?:of_?)?(?:seq|token|tok)|xxeos)\b"
_FIRST = re.compile(rf"\s*(?:(?:{_spelled(_EITHER)}|{_FIRST_WORD})\s*+)+(?:[,;:]\s*+)?", re.IGNORECASE)
_LAST = re.compile(
    rf"(?:\s*+[,;:])?(?:\s*+(?:{_spelled(_EITHER)}|{_LAST_WORD}))+(?P<stop>\s*+[.]?+)\s*+\Z", re.IGNORECASE
)
_WITHIN = re.compile(rf"(?:\s*+[,;:])?\s*+(?:{_spelled(_END)})", re.IGNORECASE)  # what follows is no caption
_TAIL = 200  # characters at the end of a caption that are searched
_PAIRS = {
    "start": ("end", "stop"), "bos": ("eos",), "sos": ("eos",), "sot": ("eot",), "begin": ("end", "stop"),
    "cls": ("sep",), "s": ("/s",), "ssss": ("eeee",), "start_": ("_end",), "startcap": ("endcap",),
}  # fmt: skip
_MOST = 0.5  # share of captions required for unmistakable marks
_NEARLY_ALL = 0.9  # share of captions required for plain words as marks
_MANY = 100  # captions required for unknown words as marks
_FEWEST = 2  # captions required for plain words as marks
_SAMPLE = 500  # captions that are examined first
_SOME = 0.25  # share of the sample required before all captions are examined


class Marked(NamedTuple):
    """The marks found at the ends of captions.

    Attributes:
        first, last: the marks as written; empty if there is none.
        number: the number of captions with one of them.
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
    lasts = [last for text in texts if (last := _end_of(text))]
    count = max(len(firsts), len(lasts))
    if texts and count > most * len(texts):
        return Marked(_commonest(firsts), _commonest(lasts), count)
    words = [(text.split(None, 1)[0], text.rsplit(None, 1)[-1]) for text in texts]
    pairs = [pair for pair in words if pair[1].lower() in _PAIRS.get(pair[0].lower(), ())]
    if len(texts) >= _FEWEST and len(pairs) >= nearly_all * len(texts):
        return Marked(*pairs[0], len(pairs))
    return _shared(texts, words, nearly_all) if len(texts) >= _MANY else None


def _shared(texts: list[str], words: list[tuple[str, str]], nearly_all: float) -> Marked | None:
    """Return the words at the ends of nearly all captions, if they occur nowhere else and are not usual words."""
    (first, last), number = Counter(words).most_common(1)[0]
    if number < nearly_all * len(texts) or first == last or not (_is_odd(first) and _is_odd(last)):
        return None
    seen = Counter(word for text in texts for word in text.lower().split())
    at_ends = Counter(word.lower() for pair in words for word in pair)
    apart = all(seen[word] == at_ends[word] == number for word in (first.lower(), last.lower()))
    return Marked(first, last, number) if apart else None


def _is_odd(word: str) -> bool:
    """Return whether a word may be a mark: not a single sign, the end of a sentence, or a usual word."""
    return any(map(str.isalnum, word)) and word[-1] not in ".!?" and word.lower() not in FUNCTION_WORDS


def strip_marks(text: str, marked: Marked) -> str:
    """Return a caption without the marks at its ends: those of `find_marks` and similar ones."""
    text = _FIRST.sub("", text, count=1) if _FIRST.match(text) else text
    if found := _LAST.search(text, max(0, len(text) - _TAIL)):
        text = text[: found.start()] + found["stop"]
    if within := _WITHIN.search(text):
        text = text[: within.start()]
    words = text.split()
    if marked.first and words and words[0] == marked.first:
        text = text.split(None, 1)[1] if len(words) > 1 else ""
    if marked.last and words[1:] and words[-1] == marked.last:
        text = text.rsplit(None, 1)[0]
    return text.strip()


def _end_of(text: str) -> str:
    """Return the mark at the end of a caption, or the first end mark within it; empty if there is none."""
    if found := _LAST.search(text[-_TAIL:]):
        return found[0].removesuffix(found["stop"] or "").strip()
    within = _WITHIN.search(text)
    return within[0].strip() if within else ""


def _commonest(found: list[str]) -> str:
    return max(sorted(set(found)), key=found.count, default="") if len(found) < 1000 else found[0]
