"""The pictures that `predict` is asked for: files, folders, COCO's JSON, and paths that arrive on standard input."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from captioner.data.readers.coco import listed_pictures
from captioner.extraction.loader import in_batches
from captioner.images.files import PictureFiles
from captioner.images.listing import require_pictures, walk_images
from captioner.storage import DataError

STDIN = Path("-")
LINES_AHEAD = 4096  # of standard input that are read before they are needed


class Arriving:
    """Paths, a line each or with NUL bytes between them, read in a thread of their own: they may come slowly.

    Args:
        stream: standard input.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._paths: queue.Queue[Path | None] = queue.Queue(LINES_AHEAD)
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
                self._paths.put(Path(os.fsdecode(name)))

    def batches(self, files: PictureFiles, size: int) -> Iterator[np.ndarray]:
        """Yield the places of new files in `files`, at most `size` at a time; an empty batch when none is there yet."""
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
                found += [files.append(each) for each in _meant(path)]
            for start in range(0, len(found), size):
                yield np.array(found[start : start + size])


def _is_real(stream: BinaryIO) -> bool:
    try:
        stream.fileno()
    except (OSError, AttributeError, ValueError):  # a test's own stream
        return False
    return True


def _meant(path: Path) -> list[Path]:
    """Return the pictures that a line of standard input means; what is wrong with a path is said when it is read."""
    if not path.is_dir():
        return [path]
    try:
        return sorted(Path(entry.path) for entry in walk_images(path))
    except DataError:
        return [path]


def find_pictures(paths: Sequence[Path]) -> PictureFiles:
    """Return the pictures meant by files and folders; a folder means all under it, COCO's JSON those that it lists.

    A file that is named several times is listed once. `-` is passed over.

    Raises:
        DataError: a path does not exist, a folder holds no picture, or what a JSON lists is not there.
    """
    files, seen = PictureFiles(), set()

    def add(path: str | Path, size: int = 0, modified: int = 0) -> None:
        name = os.path.normpath(path)
        if name not in seen:
            seen.add(name)
            files.append(path, size, modified)

    for path in paths:
        if path == STDIN:
            continue
        if path.is_dir():
            found = sorted((entry.path, entry.stat()) for entry in walk_images(path))
            require_pictures(path, found)
            for name, status in found:
                add(name, status.st_size, status.st_mtime_ns)
        elif path.suffix.lower() == ".json":
            for picture in listed_pictures(path):
                add(picture)
        elif path.exists():
            add(path)
        else:
            raise DataError(f"{path}: no such picture or folder")
    files.named_alone = len(paths) == 1 and paths[0].is_file() and len(files) == 1 and paths[0] == files.path(0)
    return files


def batches_of(files: PictureFiles, wanted: np.ndarray, arriving: Arriving | None, size: int) -> Iterator[np.ndarray]:
    """Yield the places of the pictures that go together: those of the list that are wanted, then those that arrive.

    Args:
        files: the list, which grows by what arrives.
        wanted: (files,) bool.
        arriving: what comes on standard input.
        size: of a batch.
    """
    yield from in_batches(wanted, size)
    if arriving is not None:
        yield from arriving.batches(files, size)
