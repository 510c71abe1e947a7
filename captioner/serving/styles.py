"""The styles in which a caption may be had."""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST_ALT = 125  # characters; screen readers break longer alternative texts

_INTRODUCTION = re.compile(r"\A(?:an?|the) (?:image|picture|photo|photograph) of (?=\w)")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text and text[-1] not in ".!?" else f"{text[:1].upper()}{text[1:]}"


def _alt(text: str) -> str:
    text = _INTRODUCTION.sub("", text)
    if len(text) >= LONGEST_ALT:
        text = text[:LONGEST_ALT].rpartition(" ")[0] or text[: LONGEST_ALT - 1]
    return _sentence(text)


STYLES: dict[str, Callable[[str], str]] = {"plain": str, "sentence": _sentence, "alt": _alt}


def restyle(text: str, style: str | None) -> str:
    """Return a caption in a style of STYLES; in the model's own words without one."""
    return text if style is None else STYLES[style](text)
