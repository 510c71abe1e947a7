"""The pictures for `predict`: files, folders, tar files, COCO's JSON, and paths that arrive on standard input."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from captioner.config import ConfigError
from captioner.data.readers.coco import listed_pictures
from captioner.extraction.loader import in_batches
from captioner.images.ids import EXTENSIONS
from captioner.images.picture_list import OF_ITS_OWN, PictureFiles
from captioner.images.tars import TarMember, is_tar, members_of
from captioner.images.urls import is_url
from captioner.images.walk import require_pictures, walk_images
from captioner.output_places import is_drawn
from captioner.storage import DataError

STDIN = Path("-")
LINES_AHEAD = 4096  # lines of standard input that are read ahead


class Arriving:
    """Paths separated by newlines or NUL bytes, read in a separate thread because they may arrive slowly.

    Args:
        stream: standard input.
        allow_urls: whether pictures may be fetched from addresses; if not, an address is treated as a file name.
        outputs: see `find_pictures`.
    """

    def __init__(self, stream: BinaryIO, allow_urls: bool = False, outputs: Sequence[Path] = ()) -> None:
        self._allow_urls, self._outputs = allow_urls, outputs
        self._paths: queue.Queue[str | None] = queue.Queue(LINES_AHEAD)
        threading.Thread(target=self._read, args=(stream,), name="paths", daemon=True).start()

    def _read(self, stream: BinaryIO) -> None:
        rest = b""
        try:
            while piece := os.read(stream.fileno(), 2**16) if _is_real(stream) else stream.read(2**16):
                *whole, rest = (rest + piece).replace(b"\0", b"\n").split(b"\n")
                self._put(whole)
            self._put([rest])
        finally:
            self._paths.put(None)

    def _put(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            if name := line.rstrip(b"\r"):
                self._paths.put(os.fsdecode(name))

    def batches(self, files: PictureFiles, size: int) -> Iterator[np.ndarray]:
        """Yield the indices of new files in `files`, at most `size` at a time; an empty batch if none is known yet."""
        ended = False
        while not ended:
            found: list[int] = []
            while len(found) < size:
                try:
                    path = self._paths.get_nowait()
                except queue.Empty:
                    if found:
                        break
                    yield np.zeros(0, np.int64)
                    path = self._paths.get()
                if path is None:
                    ended = True
                    break
                found += self._append(files, path)
            for start in range(0, len(found), size):
                yield np.array(found[start : start + size])

    def _append(self, files: PictureFiles, name: str) -> list[int]:
        if is_url(name):
            return [files.append(name if self._allow_urls else Path(name))]
        return [files.append(each) for each in _meant(Path(name), self._outputs)]


def _is_real(stream: BinaryIO) -> bool:
    try:
        stream.fileno()
    except (OSError, AttributeError, ValueError):  # a stream in a test
        return False
    return True


def _meant(path: Path, outputs: Sequence[Path]) -> list[Path]:
    """Return the pictures of a line of standard input; errors of a path are reported when it is read."""
    if not path.is_dir():
        return [path]
    try:
        return sorted(Path(entry.path) for entry in _walk(path, outputs))
    except DataError:
        return [path]


def _walk(folder: Path, outputs: Sequence[Path]) -> Iterator[os.DirEntry[str]]:
    """Yield the pictures under a folder, except those that an earlier run drew into a subfolder."""
    drawn = [output.absolute() for output in outputs if is_drawn(output)]
    inside = [f"{os.path.normpath(each)}{os.sep}" for each in drawn if folder.resolve() in each.resolve().parents]
    for entry in walk_images(folder):
        if not inside or not str(Path(entry.path).absolute()).startswith(tuple(inside)):
            yield entry


def find_pictures(names: Sequence[str | Path], allow_urls: bool = False, outputs: Sequence[Path] = ()) -> PictureFiles:
    """Return the named pictures, all pictures in the named folders and tar files, and those listed by COCO's JSON.

    A picture that is named several times is listed once. `-` is skipped.

    Args:
        names: paths and addresses.
        allow_urls: whether pictures may be fetched from addresses.
        outputs: folders for the results; pictures that an earlier run drew there are not captioned.

    Raises:
        ConfigError: an address is given but addresses are not allowed, or a name is empty.
        DataError: a path does not exist, a folder contains no picture, or a picture that a JSON lists is missing.
    """
    files, seen = PictureFiles(), set()

    def add(path: str | Path, size: int = 0, modified: int = 0, offset: int = OF_ITS_OWN) -> None:
        name = str(path) if is_url(str(path)) else os.path.normpath(path)
        if name not in seen:
            seen.add(name)
            files.append(path, size, modified, offset)

    _require_named(names)
    for name in names:
        if is_url(str(name)):
            require_urls(str(name), allow_urls)
            add(str(name))
            continue
        path = Path(name)
        if path == STDIN:
            continue
        if is_tar(path):
            for member in _require_members(path):
                add(f"{path}!{member.name}", member.size, member.modified, member.offset)
        elif path.is_dir():
            found = sorted((entry.path, entry.stat()) for entry in _walk(path, outputs))
            require_pictures(path, found)
            for file, status in found:
                add(file, status.st_size, status.st_mtime_ns)
        elif path.suffix.lower() == ".json":
            for picture in listed_pictures(path):
                add(picture)
        elif path.exists():
            add(path)
        else:
            raise DataError(f"{path}: no such picture or folder")
    files.named_alone = len(names) == 1 and len(files) == 1 and files.name(0) == str(names[0])
    return files


def _require_named(names: Sequence[str | Path]) -> None:
    """Refuse names that are no paths: an empty one, which would mean the current folder, and unknown addresses."""
    if "" in names:
        raise ConfigError("a picture's name is empty; name a file or a folder (. is the current folder)")
    for name in map(str, names):
        if "://" in name and not is_url(name) and not Path(name).exists():
            raise DataError(f"{name}: only addresses that begin with http:// or https:// can be read")


def _require_members(path: Path) -> list[TarMember]:
    found = list(members_of(path))
    if not found:
        raise DataError(f"{path}: contains no picture (looked for {', '.join(EXTENSIONS)})")
    return found


def require_urls(name: str, allowed: bool) -> None:
    """Raise ConfigError if pictures may not be fetched from addresses."""
    if not allowed:
        raise ConfigError(f"{name}: addresses are fetched only with --allow-urls")


def batches_of(files: PictureFiles, wanted: np.ndarray, arriving: Arriving | None, size: int) -> Iterator[np.ndarray]:
    """Yield the indices of the pictures in batches: the wanted ones of the list, then those that arrive.

    Args:
        files: the list; arriving pictures are appended.
        wanted: (files,) bool.
        arriving: paths from standard input.
        size: of a batch.
    """
    yield from in_batches(wanted, size)
    if arriving is not None:
        yield from arriving.batches(files, size)
