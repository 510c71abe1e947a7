"""Lists the pictures of a folder, up to millions: their ids, paths and sizes take under a hundred bytes each."""

from __future__ import annotations

import builtins
import hashlib
import itertools
import json
import logging
import os
from array import array
from pathlib import Path

import numpy as np

from captioner.images.ids import image_id, normalize_id
from captioner.images.index import IdIndex
from captioner.images.tars import is_tar, members_of, read_member, split_name
from captioner.images.walk import require_folder, require_pictures, walk_images
from captioner.storage import DataError

logger = logging.getLogger(__name__)

SHARD_STEP = 64  # pictures: a multiple of every batch size, so that a shard's batches are those of the whole
NAMES_A_BLOCK = 4096


class Paths:
    """Relative paths, stored one after another in one block of memory, in any order."""

    def __init__(self, text: bytes | bytearray, starts: np.ndarray, lengths: np.ndarray) -> None:
        """Take the text, and the start and the length in bytes of each path (paths,)."""
        self._text, self._starts, self._lengths = text, starts, lengths

    def __getitem__(self, place: int) -> str:
        start = int(self._starts[place])
        return os.fsdecode(bytes(self._text[start : start + int(self._lengths[place])]))

    def take(self, places: np.ndarray | slice) -> Paths:
        """Return the paths at `places`, in that order; they share the text."""
        return Paths(self._text, self._starts[places], self._lengths[places])


class Pictures:
    """The pictures under a folder, sorted by image_id.

    Attributes:
        folder: the searched folder.
        ids: their image_ids.
        bytes: (pictures,) int64, the files' sizes.
        modified: (pictures,) int64, the files' modification times in nanoseconds.
        offsets: (pictures,) int64, for pictures in tar files: the byte offset of each content. Relative paths are then
            `shard.tar!member`.
    """

    def __init__(
        self,
        folder: Path,
        ids: IdIndex,
        paths: Paths,
        sizes: np.ndarray,
        modified: np.ndarray,
        offsets: np.ndarray | None = None,
    ) -> None:
        self.folder, self.ids = folder, ids
        self.bytes, self.modified, self.offsets = sizes, modified, offsets
        self._paths = paths

    def __len__(self) -> int:
        return len(self.ids)

    def relative(self, place: int) -> str:
        """Return a picture's path relative to the folder."""
        return self._paths[place]

    def path(self, place: int) -> Path:
        """Return a picture's path."""
        return self.folder / self.relative(place)

    def name(self, place: int) -> str:
        """Return a picture's name for messages."""
        return str(self.path(place))

    def content(self, place: int) -> builtins.bytes | None:
        """Return the bytes of a picture in a tar file, None for a separate file.

        Raises:
            DataError: it cannot be read.
        """
        if self.offsets is None:
            return None
        name = self.name(place)
        return read_member(split_name(name)[0], int(self.offsets[place]), int(self.bytes[place]), name)

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
        """Return part `index` (from 1) of `count` consecutive parts in the order of the ids.

        Raises:
            DataError: there are too few pictures for this number of parts.
        """
        step = SHARD_STEP if len(self) >= SHARD_STEP * count else 1
        first, last = (len(self) * part // count // step * step for part in (index - 1, index))
        last = len(self) if index == count else last
        if first == last:
            raise DataError(f"{self.folder}: shard {index}/{count} of {len(self)} pictures is empty; make fewer shards")
        part = slice(first, last)
        ids = IdIndex(self.ids.encoded[part])
        offsets = None if self.offsets is None else self.offsets[part]
        return Pictures(self.folder, ids, self._paths.take(part), self.bytes[part], self.modified[part], offsets)


def find_pictures(folder: str | Path) -> Pictures:
    """Return the pictures under `folder`, recursively, without hidden files; or the pictures in a tar file.

    If a folder has no pictures but tar files, such as the shards of a webdataset, their pictures are returned.

    Raises:
        DataError: there is no such folder, a folder under it cannot be read, there is no picture in it, or two files
            have one id.
    """
    if tars := _tars(Path(folder)):
        return _in_tars(Path(folder), tars)
    require_folder(folder)
    root = os.path.join(str(folder), "")  # noqa: PTH118 - a Path would drop the last slash
    text, lengths, sizes, modified, names = bytearray(), array("H"), array("q"), array("q"), _Names()
    for entry in walk_images(folder):
        try:
            status = entry.stat()
        except FileNotFoundError:  # removed since its folder was read
            continue
        path = entry.path.removeprefix(root)
        text += (encoded := os.fsencode(path))
        lengths.append(len(encoded))
        sizes.append(status.st_size)
        modified.append(status.st_mtime_ns)
        names.append(normalize_id(path.replace(os.sep, "/")).encode())
    require_pictures(folder, sizes)
    ids = names.together()
    order = np.argsort(ids, kind="stable")
    ids.sort(kind="stable")
    index, paths = IdIndex(ids), _paths(text, lengths).take(order)
    if (same := index.repeated()) is not None:
        first, second = sorted(paths[place] for place in same)
        raise DataError(
            f"{Path(folder, first)} and {Path(folder, second)} are both the picture {index[same[0]]!r}; "
            "rename or remove one"
        )
    bytes_ = np.frombuffer(sizes, "q")[order]
    del sizes  # of millions of pictures these are not small
    return Pictures(Path(folder), index, paths, bytes_, np.frombuffer(modified, "q")[order])


def _tars(folder: Path) -> list[Path]:
    """Return the given tar file, or the tar files of a folder without pictures."""
    if is_tar(folder):
        return [folder]
    if not folder.is_dir() or next(walk_images(folder), None) is not None:
        return []
    return sorted(path for path in folder.iterdir() if is_tar(path))


def _in_tars(folder: Path, tars: list[Path]) -> Pictures:
    found: list[tuple[bytes, str, int, int, int]] = []
    for tar in tars:
        for member in members_of(tar):
            name = normalize_id(member.name.removeprefix("./")).encode()
            found.append((name, f"{tar.name}!{member.name}", member.size, member.modified, member.offset))
    require_pictures(folder, found)
    found.sort()
    for one, other in itertools.pairwise(found):
        if one[0] == other[0]:
            raise DataError(f"{one[1]} and {other[1]} are both the picture {one[0].decode()!r}; rename or remove one")
    ids, names, sizes, modified, offsets = zip(*found, strict=True)
    text = [os.fsencode(name) for name in names]
    lengths = array("H", map(len, text))
    return Pictures(
        folder.parent if is_tar(folder) else folder,
        IdIndex(np.array(ids)),
        _paths(bytearray(b"".join(text)), lengths),
        np.array(sizes, np.int64),
        np.array(modified, np.int64),
        np.array(offsets, np.int64),
    )


def _paths(text: bytearray, lengths: array[int]) -> Paths:
    widths = np.frombuffer(lengths, "H")
    ends = np.cumsum(widths, dtype=np.uint32 if len(text) < 2**32 else np.int64)
    return Paths(text, np.subtract(ends, widths, out=ends), widths)


class _Names:
    """Collects encoded ids while the length of the longest is unknown."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._last: list[bytes] = []

    def append(self, name: bytes) -> None:
        self._last.append(name)
        if len(self._last) == NAMES_A_BLOCK:
            self._blocks.append(np.array(self._last))
            self._last = []

    def together(self) -> np.ndarray:
        """Return all ids, (names,) of NumPy's kind `S`, and forget them."""
        self._blocks.append(np.array(self._last, "S"))
        width = max(block.itemsize for block in self._blocks)
        names = np.zeros(sum(map(len, self._blocks)), f"S{width}")
        end = len(names)
        while self._blocks:
            block = self._blocks.pop()
            names[end - len(block) : end] = block
            end -= len(block)
        return names


def list_images(folder: str | Path) -> dict[str, Path]:
    """Return the pictures under `folder` (recursively, without hidden files) by image_id, sorted.

    Raises:
        DataError: there is no such folder, a folder under it cannot be read, there is no picture in it, or two files
            have one id.
    """
    require_folder(folder)
    found: dict[str, Path] = {}
    for entry in walk_images(folder):
        path = Path(entry.path)
        name = image_id(path, folder)
        if name in found:
            first, second = sorted((found[name], path))
            raise DataError(f"{first} and {second} are both the picture {name!r}; rename or remove one")
        found[name] = path
    require_pictures(folder, found)
    return dict(sorted(found.items()))
