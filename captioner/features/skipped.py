"""FILE.skipped.csv, next to a feature file: the pictures without features, and the reasons."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from captioner.images.ids import normalize_id
from captioner.storage import DataError, read_text, write_text
from captioner.table import to_csv

COLUMNS = ("image_id", "reason")


def skipped_path(output: Path) -> Path:
    """Return the path of the list of pictures without features."""
    return output.with_name(output.name + ".skipped.csv")


def write_skipped(output: Path, skipped: Mapping[str, str]) -> None:
    """Write the pictures without features and the reasons; without any, remove an earlier file."""
    if not skipped:
        skipped_path(output).unlink(missing_ok=True)
        return
    write_text(skipped_path(output), to_csv(COLUMNS, skipped.items()))


def read_skipped(output: Path) -> dict[str, str]:
    """Return image_id -> the reason why it has no features; empty if there is no such file.

    Raises:
        DataError: the file cannot be read, or was not written by captioner.
    """
    path = skipped_path(output)
    if not path.is_file():
        return {}
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path)), strict=True))
        return {normalize_id(row[COLUMNS[0]]): row.get(COLUMNS[1]) or "" for row in rows}
    except (KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as image_id,reason ({error}); extract again, or remove it") from None
