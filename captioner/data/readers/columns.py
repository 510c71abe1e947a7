"""Known names of a table's columns and a record's keys, and reading the captions in one of their values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from captioner.data.readers.literals import read_list

# In order of preference: BLIP's files have `image` and also their own `image_id`.
IMAGE_COLUMNS = (
    "image", "image_name", "file_name", "filename", "image_path", "image_file", "image_filename", "filepath",
    "file_path", "path", "file", "picture", "picture_name", "photo", "photo_name", "img", "img_name", "img_path",
    "img_file", "image_id", "imageid", "img_id", "imgid", "picture_id", "photo_id", "image_url", "url", "id", "key",
    "name",
)  # fmt: skip
CAPTION_COLUMNS = (
    "caption", "captions", "comment", "comments", "raw", "sentence", "sentences", "sents", "text", "texts",
    "description", "descriptions", "caption_text", "image_caption", "alt_text", "reference", "references", "ref",
    "refs", "gt", "gts", "ground_truth", "target",
)  # fmt: skip
PREDICTION_COLUMNS = (
    "prediction", "predictions", "predicted", "predicted_caption", "pred", "preds", "generated", "generated_caption",
    "generated_text", "hypothesis", "hypotheses", "hyp", "hypo", "candidate", "candidates", "output", "result", "res",
)  # fmt: skip
WORD_COLUMNS = ("tokens", "words")  # a list of them is always one caption
SPLIT_COLUMN = "split"
RANKS = ("rank", "log_prob", "alternatives")  # with these, several captions of a picture are alternatives

_NUMBERED_CAPTION = re.compile(r"(?:caption|comment|sentence|text|description|reference|ref)_?\d+")
_NUMBERED_PREDICTION = re.compile(r"(?:prediction|pred|generated|hypothesis|hyp|candidate)_?\d+")
_NAME = re.compile(r"[\w\s./-]+")  # not the parts of a sentence with commas, brackets and quotes
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^a-z0-9]+")


class Columns(NamedTuple):
    """The names of a table's columns, as the table writes them."""

    image: str
    captions: tuple[str, ...]
    split: str | None
    ranked: bool = False


class NotTextError(ValueError):
    """A value is neither a caption nor a list of captions."""


def plain_name(name: str) -> str:
    """Return a column's name in lower case with underscores: `Image File` and `imageFile` are `image_file`."""
    if not _NAME.fullmatch(name):
        return name
    return _OTHER.sub("_", _HUMP.sub("_", name.strip()).lower()).strip("_")


def find_columns(names: Sequence[str], predictions: bool = False) -> Columns | None:
    """Return which columns of a table contain pictures, captions and splits; None without pictures or captions.

    A table has one column of captions, or several numbered ones (`caption_1`, `caption_2`, ...). If it has captions and
    predictions, `predictions` says which of them to read.
    """
    known = {plain_name(name): name for name in reversed(names)}
    image = next((known[name] for name in IMAGE_COLUMNS if name in known), None)
    captions = _of_kind(known, names, CAPTION_COLUMNS, _NUMBERED_CAPTION)
    predicted = _of_kind(known, names, PREDICTION_COLUMNS, _NUMBERED_PREDICTION)
    taken = (predicted or captions) if predictions else (captions or predicted)
    taken = taken or [known[name] for name in WORD_COLUMNS if name in known][:1]
    if image is None or not taken:
        return None
    ranked = any(name in known for name in RANKS)
    return Columns(image, tuple(taken), known.get(SPLIT_COLUMN), ranked)


def _of_kind(
    known: Mapping[str, str], names: Sequence[str], plain: Sequence[str], numbered: re.Pattern[str]
) -> list[str]:
    """Return the first plain column of a kind and its numbered columns."""
    first = [known[name] for name in plain if name in known][:1]
    return [*first, *dict.fromkeys(name for name in names if numbered.fullmatch(plain_name(name)))]


def known_names() -> str:
    """Return the usual column names, for a message about a missing header line."""
    return f"{', '.join(('image', 'file_name', 'image_id'))} and {', '.join(('caption', 'text', 'comment'))}"


class Texts(NamedTuple):
    """The captions in a value.

    Attributes:
        captions: they may be blank.
        listed: whether they were a list whose items could also be the words of one caption.
        ranked: whether they are alternatives, the best one first.
    """

    captions: list[str]
    listed: bool = False
    ranked: bool = False


def read_texts(value: Any, column: str = "") -> Texts:
    """Return the captions in a value of JSON: a text, a list of texts or of records, a list of lists of words.

    A text may contain such a list, as a cell of a table does.

    Raises:
        NotTextError: the value is something else.
    """
    if value is None:
        return Texts([""])
    if isinstance(value, str):
        return read_cell(value, column)
    if isinstance(value, dict):
        return _of_record(value)
    if not isinstance(value, list):
        raise NotTextError
    if all(isinstance(item, str) for item in value):
        if plain_name(column) in WORD_COLUMNS:
            return Texts([" ".join(value)])
        return Texts(value, listed=True)
    if all(isinstance(item, list) for item in value):
        if not all(isinstance(word, str) for words in value for word in words):
            raise NotTextError
        return Texts([" ".join(words) for words in value])
    if not all(isinstance(item, dict) for item in value):
        raise NotTextError
    parts = [_of_record(item) for item in value]
    ranked = any(part.ranked for part in parts)
    return Texts([text for part in parts for text in part.captions], ranked=ranked)


def _of_record(record: dict[str, Any]) -> Texts:
    """Return the captions in a record without a picture, such as {"caption": "...", "log_prob": -3.5}."""
    named = {plain_name(key): key for key in record}
    columns = (*CAPTION_COLUMNS, *PREDICTION_COLUMNS, *WORD_COLUMNS)
    key = next((named[name] for name in columns if name in named), None)
    if key is None:
        raise NotTextError
    found = read_texts(record[key], key)
    return found._replace(ranked=found.ranked or any(name in named for name in RANKS))


def read_cell(cell: str, column: str = "") -> Texts:
    """Return the captions in a cell: the cell itself, or the items of a list in the notation of JSON, Python or NumPy.

    Raises:
        NotTextError: the cell is a list of numbers.
    """
    cell = cell.strip()
    found = read_list(cell)
    if found is None:
        return Texts([cell])
    texts = read_texts(found, column)
    kept = [text for text in texts.captions if text.strip()]
    return texts._replace(captions=kept or [""])
