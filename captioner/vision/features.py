"""Features on disk: image_id -> float array, with the description of the encoder that made them."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from captioner.storage import (
    DataError,
    atomic_path,
    digest_file,
    load_pickle,
    manifest_path,
    read_manifest,
    remove_manifest,
    write_manifest,
)
from captioner.vision.images import normalize_id

Storage = Literal["float16", "float32"]

MAX_PICKLE_BYTES = 10**9  # a pickle is read whole

# numpy 1 calls numpy._core numpy.core; _codecs.encode is how protocol 2 writes bytes
_NUMPY_NAMES = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class FeatureStore(Mapping[str, np.ndarray]):
    """A feature file as a read-only mapping: image_id -> (channels,) or (regions, channels) float32.

    Attributes:
        path: the file.
        description: the Encoder's description, or None where nobody wrote it down.
        shape: (channels,) or (regions, channels), the same for every picture.
        digest: the SHA-256 of the file.
    """

    def __init__(
        self,
        path: Path,
        ids: Sequence[str],
        rows: np.ndarray | h5py.Dataset,
        description: Mapping[str, Any] | None,
        digest: str,
    ) -> None:
        self.path = path
        self.description = None if description is None else dict(description)
        self.shape: tuple[int, ...] = tuple(rows.shape[1:])
        self.digest = digest
        self._rows = rows  # (pictures, channels) or (pictures, regions, channels)
        self._index = {name: index for index, name in enumerate(ids)}

    def __getitem__(self, image_id: str) -> np.ndarray:
        return self._read([self._index[image_id]], [image_id])[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features of `ids` in their order, (n, channels) or (n, regions, channels) float32.

        Raises:
            DataError: some have no features (how many, and the first), or theirs are not finite.
        """
        unknown = [name for name in ids if name not in self._index]
        if unknown:
            raise DataError(
                f"{self.path}: no features for {len(unknown)} of {len(ids)} pictures, {unknown[0]!r} the first; "
                "extract them from the folder that has all pictures"
            )
        return self._read([self._index[name] for name in ids], ids)

    def _read(self, indices: Sequence[int], ids: Sequence[str]) -> np.ndarray:
        if isinstance(self._rows, np.ndarray):
            return self._rows[np.asarray(indices, dtype=int)]
        stored = np.empty((len(indices), *self.shape), self._rows.dtype)
        try:
            for row, index in zip(stored, indices, strict=True):
                self._rows.read_direct(row, np.s_[index])
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: broken or truncated ({error}); extract the features anew") from error
        rows = stored.astype(np.float32)  # ten times faster than to let HDF5 widen float16
        _check_finite(self.path, rows, ids)
        return rows


def open_features(path: str | Path) -> FeatureStore:
    """Open a feature file: a `.pkl` as tutorials write it (read whole) or a `.h5` of ours (read as it is asked for).

    Raises:
        DataError: missing, truncated, hostile, empty, ragged, not finite, or not the file that its manifest describes.
    """
    path = Path(path)
    read = _by_suffix(path, _READERS)
    if not path.is_file():
        raise DataError(f"{path}: no such file; `captioner extract IMAGES -o {path}` makes it")
    manifest = read_manifest(path) or {}
    digest = digest_file(path)
    if manifest.get("digest", digest) != digest:
        raise DataError(
            f"{path}: its digest is {digest[:12]}, its manifest's {manifest['digest'][:12]}; "
            f"extract the features anew, or remove {manifest_path(path).name} if the file is meant to be another"
        )
    ids, rows, description = read(path)
    if not ids:
        raise DataError(f"{path}: no features in it; extract them anew")
    return FeatureStore(path, ids, rows, manifest.get("encoder", description), digest)


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
        description: the Encoder's.
        dtype: of the numbers in a `.h5`; a `.pkl` holds float32.
        manifest: what else the manifest should say.

    Raises:
        DataError: empty, ragged, not finite, or more than fits a `.pkl`.
    """
    path = Path(path)
    if not features:
        raise DataError(f"{path}: there are no features to write")
    shape = next(iter(features.values())).shape
    check_target(path, len(features), shape)
    remove_manifest(path)
    with atomic_path(path) as temporary:
        _WRITERS[path.suffix](path, temporary, features, description, dtype)
    held = {"pictures": len(features), "shape": list(shape), "dtype": dtype, "digest": digest_file(path)}
    write_manifest(path, "extract", encoder=description, **held, **manifest)


def check_target(path: str | Path, pictures: int, shape: Sequence[int]) -> None:
    """Check that a feature file at `path` can hold that many pictures' features of `shape`.

    Raises:
        DataError: its suffix is unknown, or it would be too large a `.pkl`.
    """
    path = Path(path)
    _by_suffix(path, _WRITERS)
    size = pictures * math.prod(shape) * 4
    if path.suffix == ".pkl" and size > MAX_PICKLE_BYTES:
        better = path.with_suffix(".h5").name
        raise DataError(f"{path}: {size / 1e9:.1f} GB are too much for a pickle; write {better} instead")


def _by_suffix(path: Path, table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if path.suffix not in table:
        raise DataError(f"{path}: a feature file ends in {' or '.join(table)}")
    return table[path.suffix]


def _check_finite(path: Path, rows: np.ndarray, ids: Sequence[str]) -> None:
    finite = np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
    if not finite.all():
        raise DataError(f"{path}: the features of {ids[int(finite.argmin())]!r} are not finite; extract them anew")


def _checked(path: Path, features: Mapping[str, np.ndarray], dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    shape: tuple[int, ...] | None = None
    for name, row in features.items():
        shape = row.shape if shape is None else shape
        if row.shape != shape:
            raise DataError(f"{path}: the features of {name!r} have the shape {row.shape}, others {shape}")
        with np.errstate(over="ignore"):
            narrow = np.asarray(row, dtype)
        if not np.isfinite(narrow).all():
            hint = f" in {dtype}; store them in float32" if np.isfinite(row).all() else ""
            raise DataError(f"{path}: the features of {name!r} are not finite{hint}")
        yield name, narrow


def _read_pickle(path: Path) -> tuple[list[str], np.ndarray, None]:
    with warnings.catch_warnings():  # numpy 2 warns of numpy.core, where numpy 1 pickled its arrays
        warnings.filterwarnings("ignore", "numpy.core", DeprecationWarning)
        content = load_pickle(path, _NUMPY_NAMES)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a dict image_id -> array, found {type(content).__name__}")
    rows: dict[str, np.ndarray] = {}
    for key, value in content.items():
        if not isinstance(key, str | int) or not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise DataError(f"{path}: expected image_id -> array of numbers, found {type(value).__name__} at {key!r}")
        name = normalize_id(str(key))
        if name in rows:
            raise DataError(f"{path}: {key!r} and another key both mean the picture {name!r}")
        rows[name] = _without_batch(value)
        first = next(iter(rows))
        if not value.ndim or not value.size or rows[name].shape != rows[first].shape:
            shapes = f"{rows[name].shape} at {name!r}, {rows[first].shape} at {first!r}"
            raise DataError(f"{path}: ragged or empty features: {shapes}; extract them anew")
    ids = list(rows)
    features = np.stack([rows[name].astype(np.float32) for name in ids]) if ids else np.zeros((0, 0), np.float32)
    _check_finite(path, features, ids)
    return ids, features, None


def _without_batch(row: np.ndarray) -> np.ndarray:
    row = row[0] if row.ndim > 1 and row.shape[0] == 1 else row  # a batch of one, as `predict` gave it
    return row.reshape(-1, row.shape[-1]) if row.ndim > 2 else row  # (rows, columns, channels) -> (regions, channels)


def _write_pickle(
    path: Path, temporary: Path, features: Mapping[str, np.ndarray], description: object, dtype: str
) -> None:
    content = {name: row[np.newaxis] for name, row in _checked(path, features, "float32")}
    with temporary.open("wb") as file:
        pickle.dump(content, file, protocol=4)


def _read_h5(path: Path) -> tuple[list[str], h5py.Dataset, dict[str, Any] | None]:
    try:
        file = h5py.File(path, "r")
        # a link or outside storage could make us read any other file
        for name in ("features", "ids"):
            dataset = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
                raise DataError(f"{path}: no dataset {name!r} in it; it was not written by captioner")
        rows, ids = file["features"], [str(name) for name in file["ids"].asstr()[:]]
        description = json.loads(file.attrs["encoder"]) if "encoder" in file.attrs else None
    except DataError:
        raise
    except Exception as error:  # h5py raises nearly anything on a broken file
        raise DataError(f"{path}: broken, truncated or not HDF5 ({error}); extract the features anew") from error
    if rows.ndim not in (2, 3) or rows.dtype.kind != "f" or 0 in rows.shape[1:] or len(set(ids)) != rows.shape[0]:
        raise DataError(f"{path}: {len(set(ids))} ids and features {rows.shape} {rows.dtype} do not fit; extract anew")
    return ids, rows, description


def _write_h5(path: Path, temporary: Path, features: Mapping[str, np.ndarray], description: object, dtype: str) -> None:
    shape = next(iter(features.values())).shape
    with contextlib.closing(h5py.File(temporary, "w")) as file:
        rows = file.create_dataset("features", (len(features), *shape), dtype, chunks=(1, *shape))
        for index, (_, row) in enumerate(_checked(path, features, dtype)):
            rows[index] = row
        file["ids"] = np.array(list(features), dtype=h5py.string_dtype())
        if description is not None:
            file.attrs["encoder"] = json.dumps(description)


_READERS: dict[str, Callable[..., Any]] = {".pkl": _read_pickle, ".h5": _read_h5}
_WRITERS: dict[str, Callable[..., Any]] = {".pkl": _write_pickle, ".h5": _write_h5}
