"""Combines the rows that a reader finds in a file into Captions: ids, lists of words, start and end marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from captioner.data.captions import Captions, require_apart, split_name
from captioner.encoding import escape
from captioner.images.ids import is_rooted, normalize_ids
from captioner.notes import note
from captioner.storage import DataError
from captioner.text.cleaning import is_spaceless, join_words
from captioner.text.markers import find_marks, strip_marks

LONGEST_NAME, LONGEST_CAPTION = 4096, 100_000  # characters
LONGEST_WORD = 8  # characters of a script without spaces; a longer text is a whole caption


class Row(NamedTuple):
    """A picture and some of its captions, as the file has them.

    Attributes:
        name: the picture's name, as the file writes it.
        captions: raw text.
        split: the picture's split, if the file has one.
        listed: whether the captions are a list whose items could also be the words of one caption.
        ranked: whether they are alternatives, the best one first.
    """

    name: str
    captions: Sequence[str]
    split: str | None = None
    listed: bool = False
    ranked: bool = False


def collect(path: str | Path, rows: Iterable[Row]) -> Captions:
    """Combine rows, in the order of the file; a picture may have several rows.

    A list of single words is one caption if all lists of the file are like that. Start and end marks are removed.

    Args:
        path: the file that the rows come from, for messages.
        rows: their captions may be blank if the file contains predictions.

    Raises:
        DataError: there is no caption, a name or a caption is invalid, or a picture is in two splits.
    """
    rows = list(rows)
    for row in rows:
        _require_sound(path, row)
    joined = _are_words([row.captions for row in rows if row.listed and len(row.captions) > 1])
    if joined:
        note(path, "its lists contain single words; each list is read as one caption")
    by_name: dict[str, list[str]] = {}
    splits: dict[str, dict[str, None]] = {}
    ranked = False
    for row in rows:
        texts = [join_words(row.captions)] if joined and row.listed else row.captions
        by_name.setdefault(row.name, []).extend(escape(text.strip()) for text in texts)
        ranked = ranked or row.ranked
        if row.split is not None and row.split.strip():
            splits.setdefault(split_name(row.split), {})[row.name] = None
    ids = normalize_ids(by_name)
    references: dict[str, list[str]] = {}
    for name, captions in by_name.items():
        references.setdefault(ids[name], []).extend(captions)
    if not references:
        raise DataError(f"{path}: contains no captions; name a caption file")
    found = {split: tuple(dict.fromkeys(ids[name] for name in names)) for split, names in splits.items()}
    try:
        require_apart(found)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    plain = without_marks(path, {name: tuple(captions) for name, captions in references.items()})
    rooted = {ids[name]: name for name in by_name} if all(map(is_rooted, by_name)) else {}
    return Captions(plain, splits=found, ranked=ranked, rooted=rooted)


def _require_sound(path: str | Path, row: Row) -> None:
    if not row.name or len(row.name) > LONGEST_NAME or "\0" in row.name:
        raise DataError(f"{path}: {row.name[:50]!r} is not the name of a picture; correct or remove it")
    if odd := [text for text in row.captions if len(text) > LONGEST_CAPTION or "\0" in text]:
        fault = "contains a zero byte" if "\0" in odd[0] else f"has {len(odd[0]):,} characters"
        raise DataError(f"{path}: a caption of {row.name!r} {fault}; correct or remove it")


def without_marks(path: str | Path, references: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Remove marks such as `<start>` and `endseq` from the ends of captions if most captions have them; log it."""
    texts = [text for captions in references.values() for text in captions]
    marked = find_marks(texts)
    if marked is None:
        return references
    shown = " and ".join(
        f"{where} {mark[:80]!r}" for where, mark in zip(("begin with", "end with"), marked[:2], strict=True) if mark
    )
    note(path, f"{marked.number:,} of {len(texts):,} captions {shown}; these marks are not words and are removed")
    return {name: tuple(strip_marks(text, marked) for text in captions) for name, captions in references.items()}


def _are_words(lists: Sequence[Sequence[str]]) -> bool:
    return bool(lists) and all(_is_word(text) for texts in lists for text in texts)


def _is_word(text: str) -> bool:
    return len(text.split()) <= 1 and not (len(text) > LONGEST_WORD and is_spaceless(text))
