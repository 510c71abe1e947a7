"""Check output locations before hours of work: are they writable, and is there enough disk space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from captioner.progress import amount
from captioner.storage import DataError, read_manifest, require_regular

JOB, DRAWINGS = ".results.job.json", ".attention.json"  # mark the folders of predict's --out and --attention


def is_drawn(folder: Path) -> bool:
    """Return whether a folder contains drawings of an earlier `captioner predict`."""
    return (folder / JOB).is_file() or (folder / DRAWINGS).is_file()


def require_place(path: Path) -> None:
    """Refuse an output file or folder that cannot be created.

    Raises:
        DataError: with the name of the folder that is not writable.
    """
    place = path if path.is_dir() else _existing(path.absolute().parent)
    if not os.access(place, os.W_OK | os.X_OK):
        raise DataError(f"{place}: cannot be written to; change its permissions, or name another place for {path}")


def require_not_read(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse outputs that would overwrite inputs of the command.

    Raises:
        DataError: with the name of the first such output.
    """
    read = {path.resolve() for path in inputs}
    for output in outputs:
        if output.resolve() in read:
            raise DataError(f"{output}: is an input and would be overwritten; name another folder or file with -o")


def require_own(output: str | Path, stage: str) -> None:
    """Refuse to replace a file that the stage did not write, such as a photograph.

    Raises:
        DataError: `output` exists, is not empty, and has no manifest of the stage beside it; or it is a device.
    """
    path = Path(output)
    require_regular(path)
    try:
        taken = path.is_file() and path.stat().st_size > 0
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if taken and (read_manifest(path) or {}).get("stage") != stage:
        raise DataError(
            f"{path}: already exists and was not written by captioner {stage}; name another file with -o, or remove it"
        )


def require_page(output: Path) -> None:
    """Refuse to replace a file that is not an HTML page, such as a photograph. Raises DataError."""
    if output.is_file():
        with output.open("rb") as file:
            head = file.read(100).lstrip().lower()
        if head and not head.startswith((b"<!doctype html", b"<html")):
            raise DataError(f"{output}: already exists and is not an HTML page; name another file, or remove it")


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse output that does not fit on the disk of `folder`, which may not exist yet.

    Raises:
        DataError: with the needed and the free space.
    """
    free = shutil.disk_usage(_existing(folder.absolute())).free
    if needed > free:
        raise DataError(
            f"{folder}: {what} needs {amount(needed, 'B')}, but only {amount(free, 'B')} are free; "
            "free disk space or name another folder"
        )


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())
