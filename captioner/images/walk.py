"""Finds the pictures among the files of a folder."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sized
from pathlib import Path

from captioner.images.files import HEAD_BYTES, READABLE, can_read_heif, kind_of
from captioner.images.ids import EXTENSIONS
from captioner.missing import way_out as how_to_get
from captioner.notes import note
from captioner.storage import DataError

logger = logging.getLogger(__name__)

SHOWN = 6  # extensions in a message
HEIC_ENDINGS = frozenset([".heic", ".heif", ".hif"])
# Extensions of text and data files beside pictures; these files are not opened.
OTHERS = frozenset(
    """
    txt caption json jsonl ndjson csv tsv md rst xml html htm yaml yml toml ini cfg log npy npz pkl pickle pt pth
    safetensors h5 hdf5 keras parquet arrow feather tfrecord db sqlite py ipynb sh bat zip tar gz tgz bz2 xz 7z rar pdf
    doc docx xls xlsx odt ods rtf partial part tmp lock bak xmp
    """.split()  # noqa: SIM905
)


def require_folder(folder: str | Path) -> None:
    """Raise DataError if `folder` is not a folder."""
    if not Path(folder).is_dir():
        fault = "not a folder" if Path(folder).exists() else "no such folder"
        raise DataError(f"{folder}: {fault}; {how_to_get(folder, 'name a folder of pictures')}")


def require_pictures(folder: str | Path, found: Sized) -> None:
    """Raise DataError if no picture was found in `folder`."""
    if not len(found):
        raise DataError(f"{folder}: no picture in it ({READABLE} are read)")


def walk_images(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Yield the pictures under `folder`, without hidden files, in any order; log the number of other files.

    Files with a picture's extension are pictures. Other files, except text and data files, are recognized by their
    first bytes.

    Raises:
        DataError: a folder under it cannot be read.
    """
    seen: set[str] = set()
    left_out: Counter[str] = Counter()
    waiting = [str(folder)]
    while waiting:
        current = waiting.pop()
        if (real := os.path.realpath(current)) in seen:  # a link to a parent folder
            continue
        seen.add(real)
        folders = []
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_loop(entry):
                        logger.warning(f"{entry.path}: a link to itself; it is ignored")
                    elif entry.is_dir():
                        folders.append(entry.path)
                    elif _is_picture(entry, left_out):
                        yield entry
        except OSError as error:
            raise DataError(f"{error.filename or current}: cannot be read ({error.strerror})") from error
        waiting += sorted(folders, reverse=True)
    if left_out:
        kinds = ", ".join(f"{count:,} {ending or 'without extension'}" for ending, count in left_out.most_common(SHOWN))
        more = f" and {len(left_out) - SHOWN:,} other extensions" if len(left_out) > SHOWN else ""
        way_out = "; pip install 'captioner[heif]' reads HEIC" if not HEIC_ENDINGS.isdisjoint(left_out) else ""
        note(folder, f"files that are not readable pictures are left out: {kinds}{more}{way_out}")


def _is_loop(entry: os.DirEntry[str]) -> bool:
    if not entry.is_symlink():
        return False
    try:
        entry.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _is_picture(entry: os.DirEntry[str], left_out: Counter[str]) -> bool:
    """Return whether a file is a picture; if it is not readable, count its extension in `left_out`."""
    ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - of millions of names
    if ending[1:] in EXTENSIONS and ending not in HEIC_ENDINGS:
        return entry.is_file()
    if ending[1:] in OTHERS or not entry.is_file():
        return False
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123
            kind = kind_of(file.read(HEAD_BYTES))
    except OSError:
        kind = None
    if kind is not None and (kind != "HEIC" or can_read_heif()):
        return True
    left_out[ending] += 1
    return False
