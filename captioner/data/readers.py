"""Caption files of every supported form, told apart by their content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.coco import read_coco
from captioner.data.flickr import TOKEN_LINE, is_table_header, lines, read_descriptions, read_table, read_tokens
from captioner.storage import DataError

Reader = Callable[[str | Path], dict[str, tuple[str, ...]]]

# flickr: `name.jpg#0<TAB>caption`; csv: a table with a header; coco: JSON; descriptions: `image_id caption`
READERS: dict[str, Reader] = {
    "flickr": read_tokens,
    "csv": read_table,
    "coco": read_coco,
    "descriptions": read_descriptions,
}


def read_captions(path: str | Path, format: str = "auto") -> dict[str, tuple[str, ...]]:
    """Read a caption file: image_id -> captions as they stand in it, both in its order.

    Args:
        path: the file.
        format: a name in READERS, or "auto" to tell it from the file's content.

    Raises:
        DataError: the file cannot be read, is empty or malformed; the line is named.
        ConfigError: there is no such format.
    """
    if format == "auto":
        format = detect_format(path)
    if format not in READERS:
        raise ConfigError(f"format: {format!r} is not known (known: auto, {', '.join(READERS)})")
    return READERS[format](path)


def detect_format(path: str | Path) -> str:
    """Return the name in READERS of the form that a caption file has, told from its first line.

    Raises:
        DataError: the file cannot be read or is empty.
    """
    first = next((line for _, line in lines(path)), None)
    if first is None:
        raise DataError(f"{path}: empty; name a caption file")
    if first.lstrip()[0] in "{[":
        return "coco"
    if TOKEN_LINE.fullmatch(first):
        return "flickr"
    return "csv" if is_table_header(first) else "descriptions"
