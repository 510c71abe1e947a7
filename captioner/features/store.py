"""Features on disk: image_id -> float array, with the description of the encoder that made them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from captioner.features.formats import READERS, WRITERS, Content, Held, Storage, check_finite, read_sources
from captioner.features.layout import Layout
from captioner.images.index import IdIndex
from captioner.storage import (
    MANIFEST_VERSION,
    DataError,
    atomic_path,
    digest_file,
    manifest_path,
    read_json,
    read_manifest,
    reading,
    write_json,
)

MAX_PICKLE_BYTES = 10**9  # a pickle is read whole

T = TypeVar("T")


class FeatureStore(Mapping[str, np.ndarray]):
    """A feature file as a read-only mapping: image_id -> (channels,) or (regions, channels) float32.

    Any number of stores, in any number of processes, can read one file. If the file is replaced, an open store still
    reads the old content.

    Attributes:
        path: the file.
        ids: its image_ids.
        description: the Encoder's description, or None if the file has none.
        shape: (channels,) or (regions, channels), the same for every picture.
        digest: the SHA-256 of the file.
        ours: whether captioner wrote the file; then all its numbers are finite.
    """

    def __init__(
        self, path: Path, held: Held, description: Mapping[str, Any] | None, digest: str, ours: bool = False
    ) -> None:
        self.path, self.ids = path, held.ids
        self.description = None if description is None else dict(description)
        self.shape: tuple[int, ...] = tuple(held.rows.shape[1:])
        self.digest, self.ours = digest, ours
        self._rows: Any = held.rows  # (pictures, channels) or (pictures, regions, channels)

    def __getitem__(self, image_id: str) -> np.ndarray:
        (place,) = self.ids.find([image_id])
        if place < 0:
            raise KeyError(image_id)
        return self.at([place])[0]

    def __contains__(self, image_id: object) -> bool:
        return image_id in self.ids

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Return the `ids` without features, in order."""
        return [ids[int(place)] for place in np.flatnonzero(self.ids.find(ids) < 0)]

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features of `ids` in order, (n, channels) or (n, regions, channels) float32.

        Raises:
            DataError: some have no features (the message counts them and names the first), or they are not finite.
        """
        places = self.ids.find(ids)
        unknown = np.flatnonzero(places < 0)
        if len(unknown):
            raise DataError(
                f"{self.path}: no features for {len(unknown)} of {len(ids)} pictures (first: {ids[unknown[0]]!r}); "
                "extract them from the folder that has all pictures"
            )
        return self.at(places)

    def at(self, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the features of the ids at `places`; see `gather`."""
        if isinstance(self._rows, np.ndarray):
            return self._rows[np.asarray(places, dtype=int)]
        stored = np.empty((len(places), *self.shape), self._rows.dtype)
        try:
            for row, place in zip(stored, places, strict=True):
                self._rows.read_into(row, int(place))
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(f"{self.path}: broken or truncated ({error}); extract the features again") from error
        rows = stored.astype(np.float32)  # ten times faster than to let HDF5 widen float16
        check_finite(self.path, rows, (self.ids[int(place)] for place in places))
        return rows

    def sources(self) -> np.ndarray | None:
        """Return the sizes and digests of the picture files, (pictures,) with the fields `bytes` and `digest`, or None.

        Raises:
            DataError: they cannot be read.
        """
        if not isinstance(self._rows, np.ndarray):
            return read_sources(self.path)
        written = (read_manifest(self.path) or {}).get("sources")
        if written is None or set(written) != set(self.ids):
            return None
        pairs = [written[name].split() for name in self.ids]
        rows = [(int(size), bytes.fromhex(digest)) for size, digest in pairs]
        return np.array(rows, [("bytes", "<i8"), ("digest", f"V{len(rows[0][1])}")])


def open_features(path: str | Path, layout: Layout = "auto") -> FeatureStore:
    """Open a feature file: a `.pkl` as in tutorials (read whole) or a `.h5` of captioner (read on demand).

    Args:
        path: the file.
        layout: for files of other programs: the axis of the channels in their arrays.

    Raises:
        DataError: missing, truncated, hostile, empty, ragged, not finite, or not the file that its manifest describes.
    """
    path = Path(path)
    read = _by_suffix(path, READERS)
    manifest, digest = _identify(path)
    with reading(path):
        # files with a manifest were written by captioner, with channels last
        held = read(path, "channels_last" if layout == "auto" and "encoder" in manifest else layout)
    if not len(held.ids):
        raise DataError(f"{path}: no features in it; extract them again")
    return FeatureStore(path, held, manifest.get("encoder", held.description), digest, ours="digest" in manifest)


def digest_features(path: str | Path) -> str:
    """Return the file's digest as in `open_features`, without reading the features.

    Raises:
        DataError: missing, or not the file that its manifest describes.
    """
    return _identify(Path(path))[1]


def _identify(path: Path) -> tuple[Mapping[str, Any], str]:
    """Return a file's manifest, {} if it has none, and its digest."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; `captioner extract -c RECIPE` makes it")
    manifest = read_manifest(path) or {}
    digest = current_digest(path, manifest)
    if manifest.get("digest", digest) != digest:
        raise DataError(
            f"{path}: its digest is {digest[:12]}, its manifest's {manifest['digest'][:12]}; "
            f"extract the features again, or remove {manifest_path(path).name} if the file is meant to be another"
        )
    return manifest, digest


def current_digest(path: Path, manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a file, from its manifest if the file's size and time have not changed.

    Reading a store of 50 GB whole each time it is opened would take minutes.
    """
    return manifest["digest"] if manifest.get("file") == _stamp(path) else digest_file(path)


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}


def write_features(
    path: str | Path,
    features: Mapping[str, np.ndarray],
    description: Mapping[str, Any] | None,
    dtype: Storage = "float32",
    **manifest: Any,
) -> None:
    """Write features and then their manifest; equal features give equal bytes.

    Args:
        path: `.pkl` (a dict image_id -> float32 (1, ...)) or `.h5`.
        features: image_id -> (channels,) or (regions, channels), all of one shape.
        description: the Encoder's description.
        dtype: type of the numbers in a `.h5`; a `.pkl` has float32.
        manifest: further content of the manifest.

    Raises:
        DataError: empty, ragged, not finite, or too large for a `.pkl`.
    """
    shape = next(iter(features.values())).shape if features else ()
    write_content(path, Content(IdIndex.of(list(features)), features.values(), shape, description, dtype), **manifest)


def write_content(path: str | Path, content: Content, **manifest: Any) -> None:
    """Write features like `write_features`, but from a stream, so that they need not be in memory."""
    path = Path(path)
    if not len(content.ids):
        raise DataError(f"{path}: there are no features to write")
    check_target(path, len(content.ids), content.shape)
    with atomic_path(path) as temporary:
        _by_suffix(path, WRITERS)(path, temporary, content)
        held = {
            "pictures": len(content.ids),
            "shape": list(content.shape),
            "dtype": content.dtype,
            "digest": digest_file(temporary),
            "file": _stamp(temporary),
            **_sources_for_manifest(path, content),
        }
        about = {"manifest": MANIFEST_VERSION, "stage": "extract", "encoder": content.description, **held, **manifest}
        write_json(_pending_manifest(path), about)
    settle_manifest(path)


def settle_manifest(path: Path) -> None:
    """Finish an interrupted `write_content`: rename the manifest if only this step is missing.

    A file is never without a description: its manifest is written under another name before the file is renamed, and
    renamed after it.
    """
    pending = _pending_manifest(path)
    if pending.is_file():
        if path.is_file() and read_json(pending).get("file") == _stamp(path):
            pending.replace(manifest_path(path))
        else:
            pending.unlink()


def _pending_manifest(path: Path) -> Path:
    return path.with_name(f".{manifest_path(path).name}.pending")


def _sources_for_manifest(path: Path, content: Content) -> dict[str, Any]:
    if path.suffix != ".pkl" or content.sources is None:
        return {}
    # the tutorials' dict has no place for them
    sources = zip(content.ids, content.sources(slice(None)), strict=True)
    return {"sources": {name: f"{source['bytes']} {source['digest'].tobytes().hex()}" for name, source in sources}}


def check_target(path: str | Path, pictures: int, shape: Sequence[int]) -> None:
    """Check that a feature file at `path` can hold that many pictures' features of `shape`.

    Raises:
        DataError: its suffix is unknown, or it would be too large a `.pkl`.
    """
    path = Path(path)
    _by_suffix(path, WRITERS)
    size = pictures * math.prod(shape) * 4
    if path.suffix == ".pkl" and size > MAX_PICKLE_BYTES:
        better = path.with_suffix(".h5").name
        raise DataError(f"{path}: {size / 1e9:.1f} GB are too much for a pickle; write {better} instead")


def _by_suffix(path: Path, table: Mapping[str, Callable[..., T]]) -> Callable[..., T]:
    if path.suffix not in table:
        raise DataError(f"{path}: a feature file ends in {' or '.join(table)}")
    return table[path.suffix]
