"""Features of an unfinished extraction: batches are appended to one file, which stays usable if the run is killed."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from captioner.images.listing import Pictures
from captioner.locks import locked
from captioner.storage import DataError

DIGEST_BYTES = 16

# recorded when a picture is read: the file's size, its modification time, and the digest of its content
SOURCE = np.dtype([("bytes", "<i8"), ("modified", "<i8"), ("digest", f"V{DIGEST_BYTES}")])


@dataclass(frozen=True)
class EncodedBatch:
    """The features of one batch of pictures.

    Attributes:
        places: (pictures,) their places in the listing.
        sources: (pictures,) of `SOURCE`.
        skipped: place -> why it could not be read.
        features: an array (pictures, ...) for each layer; rows of skipped pictures are undefined.
    """

    places: np.ndarray
    sources: np.ndarray
    skipped: Mapping[int, str]
    features: Sequence[np.ndarray]


class PartialFeatures:
    """The features extracted so far, of one or more layers, and the lock that excludes a second writer.

    The file has a line of JSON that describes the extraction, then blocks: a line of JSON with ids, and one record for
    each id. A block that is truncated, or that does not match its checksum, is dropped when the file is opened again.

    Attributes:
        path: the file.
        header: the description in the file; None if nothing in the file can be continued.
        skipped: place in the listing -> why there are no features.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            DataError: it cannot be written, or another process is writing it.
        """
        self.path = path
        self.skipped: dict[int, str] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _locked(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error
        self.header = _read_header(self._file)

    def begin(
        self, header: Mapping[str, Any], pictures: Pictures, rows: Sequence[tuple[str, tuple[int, ...]]], *, go_on: bool
    ) -> list[int]:
        """Prepare for appending, and recover the features in the file if it is continued.

        Args:
            header: describes the extraction.
            pictures: the listing.
            rows: the type and shape of a picture's features for each layer.
            go_on: keep the features in the file, except for pictures whose files have changed.

        Returns:
            the places of the changed pictures.

        Raises:
            DataError: it cannot be written.
        """
        layers = [(f"layer{index}", dtype, shape) for index, (dtype, shape) in enumerate(rows)]
        self._record = np.dtype([("source", SOURCE), *layers])
        self._ids = pictures.ids
        self._offsets = np.full(len(pictures), -1)  # offsets of the pictures' records in the file
        if go_on:
            return self._recover(pictures)
        self.header = dict(header)
        self._file.seek(0)
        self._file.truncate()
        self._write(_line(header))
        return []

    @property
    def done(self) -> int:
        """The number of pictures that are done, including skipped ones."""
        return int((self._offsets >= 0).sum()) + len(self.skipped)

    def extracted(self) -> np.ndarray:
        """Return whether each picture has features, (pictures,) bool."""
        return self._offsets >= 0

    def features(self, place: int, layer: int) -> np.ndarray:
        """Return the features of a picture for a layer."""
        return self._read(place)[f"layer{layer}"]

    def source(self, place: int) -> np.void:
        """Return the `SOURCE` fields of a picture with features, from the time it was read."""
        return self._read(place)["source"]

    def undone(self) -> np.ndarray:
        """Return whether each picture still has to be done, (pictures,) bool."""
        missing = self._offsets < 0
        missing[list(self.skipped)] = False
        return missing

    def append(self, batch: EncodedBatch) -> None:
        """Add a batch.

        Raises:
            DataError: it cannot be written; earlier batches are intact.
        """
        kept = [row for row, place in enumerate(batch.places) if int(place) not in batch.skipped]
        records = np.zeros(len(kept), self._record)
        records["source"] = batch.sources[kept]
        for index, features in enumerate(batch.features):
            records[f"layer{index}"] = features[kept]
        skipped = {
            self._ids[int(place)]: [batch.skipped[int(place)], int(source["bytes"]), int(source["modified"])]
            for place, source in zip(batch.places, batch.sources, strict=True)
            if int(place) in batch.skipped
        }
        data = records.tobytes()
        line = _line({"ids": self._names(batch.places[kept]), "skipped": skipped, "crc": zlib.crc32(data)})
        start = self._write(line + data) + len(line)
        self._offsets[batch.places[kept]] = start + np.arange(len(kept)) * self._record.itemsize
        self.skipped.update(batch.skipped)

    def close(self, *, remove: bool = False) -> None:
        """Close the file. Remove it if `remove` is true (its content is written elsewhere) or if it is empty."""
        with contextlib.suppress(OSError):  # a full disk was already reported when writing
            if not self._file.closed and (remove or not os.fstat(self._file.fileno()).st_size):
                self.path.unlink(missing_ok=True)  # before the lock is released
            self._file.close()

    def _write(self, data: bytes) -> int:
        try:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be written ({error.strerror or error}); run the same command again to continue"
            ) from error
        return start

    def _read(self, place: int) -> np.void:
        self._file.seek(self._offsets[place])
        return np.frombuffer(self._file.read(self._record.itemsize), self._record)[0]

    def _names(self, places: np.ndarray) -> list[str]:
        return [self._ids[int(place)] for place in places]

    def _recover(self, pictures: Pictures) -> list[int]:
        self._file.seek(0)
        self._file.readline()
        end = self._file.tell()
        changed: set[int] = set()
        while (line := self._file.readline()).endswith(b"\n"):
            try:
                block = json.loads(line)
                data = self._file.read(len(block["ids"]) * self._record.itemsize)
                if len(data) != len(block["ids"]) * self._record.itemsize or zlib.crc32(data) != block["crc"]:
                    break
                self._take(block, np.frombuffer(data, self._record), end + len(line), pictures, changed)
            except (ValueError, KeyError, TypeError, AttributeError):  # a truncated or damaged line
                break
            end = self._file.tell()
        self._file.truncate(end)
        return sorted(changed)

    def _take(
        self, block: Mapping[str, Any], records: np.ndarray, start: int, pictures: Pictures, changed: set[int]
    ) -> None:
        """Use a block, except for pictures that are gone or have changed."""
        offsets = start + np.arange(len(records)) * self._record.itemsize
        found = zip(pictures.ids.find(block["ids"]), offsets, records["source"], strict=True)
        for place, offset, source in found:
            if place >= 0:
                same = (source["bytes"], source["modified"]) == (pictures.bytes[place], pictures.modified[place])
                self._offsets[place] = offset if same else -1
                (changed.discard if same else changed.add)(int(place))
        skipped = zip(pictures.ids.find(list(block["skipped"])), block["skipped"].values(), strict=True)
        for place, (reason, *source) in skipped:
            if place >= 0 and source == [pictures.bytes[place], pictures.modified[place]]:
                self.skipped[int(place)] = reason


def _locked(path: Path) -> BinaryIO:
    try:
        return locked(path)
    except BlockingIOError:
        raise DataError(f"{path}: another process is writing it; wait for it, or name another output") from None


def _read_header(file: BinaryIO) -> dict[str, Any] | None:
    line = file.readline()
    try:
        header = json.loads(line)
    except ValueError:
        return None
    return header if isinstance(header, dict) and line.endswith(b"\n") else None


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"
