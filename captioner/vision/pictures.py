"""The pictures of a folder, millions if need be: their ids, paths and sizes in under a hundred bytes each."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from pathlib import Path, PurePath

import numpy as np

from captioner.storage import DataError
from captioner.vision.ids import IdIndex
from captioner.vision.images import normalize_id, require_folder, require_pictures, walk_images

SHARD_STEP = 64  # pictures: a multiple of every batch size, so that a shard's batches are those of the whole


class Pictures:
    """The pictures under a folder, sorted by image_id.

    Attributes:
        folder: that was searched.
        ids: their image_ids.
        bytes: (pictures,) int64, the files' sizes.
        modified: (pictures,) int64, when the files were changed last, in nanoseconds.
    """

    def __init__(
        self, folder: Path, ids: IdIndex, paths: bytearray, ends: np.ndarray, sizes: np.ndarray, modified: np.ndarray
    ) -> None:
        self.folder, self.ids = folder, ids
        self.bytes, self.modified = sizes, modified
        self._paths, self._ends = paths, ends  # one path after the other; where each ends and the next begins

    def __len__(self) -> int:
        return len(self.ids)

    def relative(self, place: int) -> str:
        """Return a picture's path relative to the folder."""
        start = int(self._ends[place - 1]) if place else 0
        return os.fsdecode(bytes(self._paths[start : self._ends[place]]))

    def path(self, place: int) -> Path:
        """Return a picture's path."""
        return self.folder / self.relative(place)

    def digest(self) -> str:
        """Return the SHA-256 over the pictures' ids, relative paths and sizes, as canonical JSON."""
        digest = hashlib.sha256()
        for place in range(len(self)):
            row = [self.ids[place], ascii(self.relative(place)), int(self.bytes[place])]
            text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            digest.update(f"{',' if place else '['}{text}".encode())
        digest.update(b"]")
        return digest.hexdigest()

    def shard(self, index: int, count: int) -> Pictures:
        """Return part `index` of `count`, from 1 on: parts follow one another in the order of the ids.

        Raises:
            DataError: there are too few pictures for so many parts.
        """
        step = SHARD_STEP if len(self) >= SHARD_STEP * count else 1
        first, last = (len(self) * part // count // step * step for part in (index - 1, index))
        last = len(self) if index == count else last
        if first == last:
            raise DataError(f"{self.folder}: shard {index}/{count} of {len(self)} pictures is empty; make fewer shards")
        part = slice(first, last)
        start = int(self._ends[first - 1]) if first else 0
        paths = self._paths[start : self._ends[last - 1]]
        ids = IdIndex(self.ids.encoded[part])
        return Pictures(self.folder, ids, paths, self._ends[part] - start, self.bytes[part], self.modified[part])


def find_pictures(folder: str | Path) -> Pictures:
    """Return the pictures under `folder`, recursively, hidden files passed over.

    Raises:
        DataError: there is no such folder, a folder under it cannot be read, there is no picture in it, or two files
            have one id.
    """
    require_folder(folder)
    root = os.path.join(str(folder), "")  # noqa: PTH118 - a Path would drop the last slash
    paths, sizes, modified = _Texts(), array("q"), array("q")
    for entry in walk_images(folder):
        try:
            status = entry.stat()
        except FileNotFoundError:  # gone since its folder was read
            continue
        paths.append(os.fsencode(entry.path.removeprefix(root)))
        sizes.append(status.st_size)
        modified.append(status.st_mtime_ns)
    require_pictures(folder, sizes)
    encoded = _ids_of(paths)
    order = np.argsort(encoded, kind="stable")
    ids = IdIndex(encoded[order])
    del encoded
    if (same := ids.repeated()) is not None:
        first, second = sorted(os.fsdecode(paths[int(order[place])]) for place in same)
        raise DataError(
            f"{Path(folder, first)} and {Path(folder, second)} are both the picture {ids[same[0]]!r}; "
            "rename or remove one"
        )
    bytes_, times = np.frombuffer(sizes, "q")[order], np.frombuffer(modified, "q")[order]
    del sizes, modified
    text, ends = paths.in_order(order)
    return Pictures(Path(folder), ids, text, ends, bytes_, times)


class _Texts:
    """Texts one after the other in one piece of memory."""

    def __init__(self) -> None:
        self._all = bytearray()
        self._ends = array("q")

    def append(self, text: bytes) -> None:
        self._all += text
        self._ends.append(len(self._all))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> bytes:
        return bytes(self._all[self._ends[index - 1] if index else 0 : self._ends[index]])

    def in_order(self, order: np.ndarray) -> tuple[bytearray, np.ndarray]:
        """Return the texts in another order, and where each ends."""
        ends = np.frombuffer(self._ends, "q")
        sorted_texts = bytearray()
        for index in order:
            sorted_texts += self[int(index)]
        fits = np.uint32 if len(sorted_texts) < 2**32 else np.int64
        return sorted_texts, np.cumsum(np.diff(ends, prepend=0)[order], dtype=fits)


def _ids_of(paths: _Texts) -> np.ndarray:
    """Return the image_ids of paths, (paths,) of NumPy's kind `S`."""
    width = max(len(_id_of(paths[index])) for index in range(len(paths)))
    ids = np.zeros(len(paths), f"S{width}")
    for index in range(len(paths)):
        ids[index] = _id_of(paths[index])
    return ids


def _id_of(path: bytes) -> bytes:
    return normalize_id(PurePath(os.fsdecode(path)).as_posix()).encode()
