"""Styles of captions: unchanged, as a sentence, as an alternative text, with gender-neutral words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from captioner.storage import DataError, read_text
from captioner.text.english import ENGLISH_ENDINGS, NEUTRAL

Style = Literal["plain", "sentence", "alt"]
STYLES: tuple[Style, ...] = ("plain", "sentence", "alt")

LONGEST_ALT = 125  # characters: screen readers cut longer texts into pieces

_OPENING = re.compile(
    r"^(?:(?:this|it) is )?(?:an?|the|this|one)? ?(?:black and white |close ?up |blurry )?"
    r"(?:image|picture|photo|photograph|photography|snapshot|close ?up)(?: shot| view)? (?:of|showing|that shows) ",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_APART = re.compile(r"(?<=\w) ('(?:s|re|ll|ve|d|m)|n't)\b", re.IGNORECASE)  # "a man 's dog", as ptb splits it
_ARTICLE = re.compile(r"\b(an?)( +)\Z", re.IGNORECASE)
_TWO = {"person": "two people", "child": "two children"}
_VERBS = {"is": "are", "was": "were", "has": "have", "does": "do"}
_PAIR = re.compile(rf"\b(a) ({'|'.join(_TWO)}) and a(?:nother)? \2\b", re.IGNORECASE)
_THEY = re.compile(rf"\b(they) ({'|'.join(_VERBS)})\b", re.IGNORECASE)


def styled(text: str, style: Style = "plain", neutral: Mapping[str, str] | None = None) -> str:
    """Return a caption in a style.

    Args:
        text: the caption.
        style: `plain` changes nothing; `sentence` adds a capital letter and a full stop; `alt` also drops "an image of"
            and cuts the text after a word to at most 125 characters.
        neutral: gendered words and their replacements, see `neutral_words`; None changes nothing.

    Example:
        >>> styled("a picture of a man riding a horse", "alt", NEUTRAL)
        'A person riding a horse.'
    """
    if neutral is not None:
        text = neutralized(text, neutral)
    if style == "alt":
        text = _shortened(_OPENING.sub("", text), LONGEST_ALT - 1)
    return text if style == "plain" else _sentence(text)


def _sentence(text: str) -> str:
    text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(text.split()))
    text = _APART.sub(r"\1", text)
    if not text:
        return ""
    text = re.sub(r"\bi\b(?!\.)", "I", text)
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text.rstrip(',;:')}."


def _shortened(text: str, longest: int) -> str:
    """Return a text of at most `longest` characters, cut after a word, but not after a word such as "of"."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    cut = text[: longest + 1]
    words = cut.rpartition(" ")[0].split() if " " in cut else [cut[:longest]]
    while len(words) > 1 and words[-1].lower() in ENGLISH_ENDINGS:
        words.pop()
    return " ".join(words).rstrip(",;:")


def neutralized(text: str, words: Mapping[str, str] = NEUTRAL) -> str:
    """Return a text with gendered words replaced, and articles and verbs adapted.

    Example:
        >>> neutralized("A man and a woman watch an actress and she is smiling")
        'Two people watch an actor and they are smiling'
    """
    done, end = "", 0
    for found in _WORD.finditer(text):
        stem, mark, ending = found[0].partition("'")
        new = words.get(found[0].lower()) or words.get(stem.lower())
        if new is None:
            continue
        done += text[end : found.start()]
        if article := _ARTICLE.search(done):
            done = done[: article.start()] + _like("an" if new[:1] in "aeio" else "a", article[1]) + article[2]
        done += _like(new, stem) + (mark + ending if new != words.get(found[0].lower()) or mark else "")
        end = found.end()
    done += text[end:]
    done = _PAIR.sub(lambda match: _like(_TWO[match[2].lower()], match[1]), done)
    return done if "they" in text.lower() else _THEY.sub(lambda match: f"{match[1]} {_VERBS[match[2].lower()]}", done)


def _like(word: str, model: str) -> str:
    """Return a word with the capitalization of another."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def neutral_words(path: Path | None = None) -> dict[str, str]:
    """Return gendered words and their replacements; the user's list takes precedence over captioner's.

    Args:
        path: a text file with one `word = replacement` per line; `word = word` keeps a word, lines with # are comments.

    Raises:
        DataError: the file cannot be read, or a line has another format.
    """
    words = dict(NEUTRAL)
    if path is None:
        return words
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, equals, replacement = (part.strip() for part in line.partition("="))
        if not equals or not word or not replacement:
            raise DataError(f"{path}: line {number}: expected `word = replacement`, found {line.strip()!r}")
        words[word.lower()] = replacement
    return words
