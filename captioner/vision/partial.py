"""Features of an extraction under way: batches appended to one file, which a kill at any moment leaves usable."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from captioner.storage import DataError


class PartialFeatures(Mapping[str, np.ndarray]):
    """What is extracted so far: image_id -> its row, in the order of extraction.

    The file is a line of JSON that says what is extracted how, then blocks: a line of JSON with the ids, and their
    rows. A block that a kill has cut off, or that does not fit its checksum, is dropped when the file is opened again.

    Attributes:
        skipped: image_id -> why, of the pictures that could not be read.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], shape: Sequence[int], dtype: str) -> None:
        """Go on with the file at `path` if its header is `header`, begin it otherwise.

        Raises:
            DataError: it cannot be written.
        """
        self.path = path
        self.skipped: dict[str, str] = {}
        self._row = np.dtype((dtype, tuple(shape)))
        self._offsets: dict[str, int] = {}
        goes_on = read_header(path) == header
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("r+b" if goes_on else "w+b")
            if goes_on:
                self._recover()
            else:
                self._file.write(_line(header))
                self._file.flush()
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self._row.base

    @property
    def done(self) -> int:
        """How many pictures are dealt with, skipped ones too."""
        return len(self._offsets) + len(self.skipped)

    def __getitem__(self, image_id: str) -> np.ndarray:
        self._file.seek(self._offsets[image_id])
        return np.frombuffer(self._file.read(self._row.itemsize), self._row.base).reshape(self._row.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def append(self, ids: Sequence[str], rows: np.ndarray, skipped: Mapping[str, str]) -> None:
        """Add a batch: the rows of `ids`, and why others of it were skipped.

        Raises:
            DataError: it cannot be written; what was there before is intact.
        """
        data = np.ascontiguousarray(rows, self._row.base).tobytes()
        block = {"ids": list(ids), "skipped": dict(skipped), "crc": zlib.crc32(data)}
        try:
            start = self._file.seek(0, 2)
            line = _line(block)
            self._file.write(line + data)
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be written ({error.strerror or error}); the next call goes on from here"
            ) from error
        self._add(block, start + len(line))

    def close(self, *, remove: bool = False) -> None:
        """Close the file; `remove` it when what it holds has been written elsewhere."""
        self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def _add(self, block: Mapping[str, Any], start: int) -> None:
        for index, image_id in enumerate(block["ids"]):
            self._offsets[image_id] = start + index * self._row.itemsize
        self.skipped.update(block["skipped"])

    def _recover(self) -> None:
        self._file.readline()
        end = self._file.tell()
        while (line := self._file.readline()).endswith(b"\n"):
            try:
                block = json.loads(line)
                data = self._file.read(len(block["ids"]) * self._row.itemsize)
                if len(data) != len(block["ids"]) * self._row.itemsize or zlib.crc32(data) != block["crc"]:
                    break
            except (ValueError, KeyError, TypeError):  # half a line, or what a crash has left in its place
                break
            self._add(block, end + len(line))
            end = self._file.tell()
        self._file.truncate(end)


def read_header(path: Path) -> dict[str, Any] | None:
    """Return what the partial file at `path` says it holds, or None if there is none that can be gone on with."""
    try:
        with path.open("rb") as file:
            line = file.readline()
        header = json.loads(line)
    except (OSError, ValueError):
        return None
    return header if isinstance(header, dict) and line.endswith(b"\n") else None


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"
