"""Places for output, looked at before hours of work: may they be written to, is there room on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from captioner.progress import amount
from captioner.storage import DataError

JOB, DRAWINGS = ".results.job.json", ".attention.json"  # mark the folders of predict's --out and --attention


def is_drawn(folder: Path) -> bool:
    """Return whether a folder holds what an earlier `captioner predict` drew."""
    return (folder / JOB).is_file() or (folder / DRAWINGS).is_file()


def require_place(path: Path) -> None:
    """Refuse a file or folder to come that cannot be made.

    Raises:
        DataError: naming the folder that cannot be written to.
    """
    place = path if path.is_dir() else _existing(path.absolute().parent)
    if not os.access(place, os.W_OK | os.X_OK):
        raise DataError(f"{place}: cannot be written to; change its permissions, or name another place for {path}")


def require_not_read(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse outputs that would replace what the command reads.

    Raises:
        DataError: naming the first.
    """
    read = {path.resolve() for path in inputs}
    for output in outputs:
        if output.resolve() in read:
            raise DataError(f"{output}: is read here and would be replaced; name another folder or file with -o")


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse what will not fit on the disk of `folder`, which need not be there yet.

    Raises:
        DataError: with both figures.
    """
    free = shutil.disk_usage(_existing(folder.absolute())).free
    if needed > free:
        raise DataError(
            f"{folder}: {what} needs {amount(needed, 'B')}, {amount(free, 'B')} are free; "
            "make room or name another folder"
        )


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())
