"""The two formats of feature files: the tutorials' pickles, read whole, and HDF5 files, read picture by picture."""

from __future__ import annotations

import itertools
import json
import math
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from captioner.features.layout import Layout, TurnedRows, as_features, require_layout, without_batch
from captioner.features.numbers import Storage as Storage
from captioner.features.pickle_arrays import StoredArray, image_key, read_arrays
from captioner.hdf5 import StoredRows, read_hdf5
from captioner.images.ids import normalize_ids
from captioner.images.index import IdIndex
from captioner.pickle_input import FREE_BYTES
from captioner.pickle_values import BadPickleError, Name, Pairs, Stretch
from captioner.storage import DataError

ROWS_AT_ONCE = 2**14
FINITE_ROWS = 2**8


@dataclass(frozen=True)
class Held:
    """The content of a feature file.

    Attributes:
        ids: the pictures' image_ids.
        rows: (pictures, channels) or (pictures, regions, channels); an HDF5 dataset is read on demand.
        description: the Encoder's description, if the file has it.
    """

    ids: IdIndex
    rows: np.ndarray | StoredRows | TurnedRows
    description: Mapping[str, Any] | None


@dataclass(frozen=True)
class Content:
    """The content of a new feature file.

    Attributes:
        ids: the pictures' image_ids.
        rows: their features, each (channels,) or (regions, channels), all with the same shape.
        shape: that shape.
        description: the Encoder's description.
        dtype: type of the numbers in an HDF5 file; a pickle has float32.
        sources: a function that returns, for a part of the pictures, an array (part,) with the fields `bytes` and
            `digest` of their files, if known.
    """

    ids: IdIndex
    rows: Iterable[np.ndarray]
    shape: tuple[int, ...]
    description: Mapping[str, Any] | None
    dtype: Storage
    sources: Callable[[slice], np.ndarray] | None = None


def read_pickle(path: Path, layout: Layout = "auto") -> Held:
    """Read a dict image_id -> array whole; see `captioner.features.store.open_features` for the refusals.

    The arrays are read row by row into their final place, so this takes hardly more memory than the features.
    """
    content, size = read_arrays(path)
    if not isinstance(content, Pairs):
        raise DataError(f"{path}: expected a dict image_id -> array, found {_kind(content)}")
    rows: dict[str, StoredArray] = {}
    ids = normalize_ids(text for key, _ in content if (text := image_key(key)) is not None)
    for key, value in content:
        text = image_key(key)
        if text is None or not isinstance(value, StoredArray) or value.dtype is None:
            raise DataError(
                f"{path}: expected image_id -> array of numbers, found {_kind(value)} at {_shown(key)}; "
                "save numpy.asarray(features) for each picture"
            )
        name = ids[text]
        if name in rows:
            raise DataError(f"{path}: {_shown(key)} and another key both mean the picture {name!r}")
        rows[name] = value
    del content
    shape = _one_shape(path, rows, layout)
    if 4 * len(rows) * math.prod(shape) > 4 * size + FREE_BYTES:
        raise DataError(f"{path}: has one array under many ids, more data than its size allows; make it again")
    index = IdIndex.of(list(rows))
    features = np.empty((len(rows), *shape), np.float32)
    try:
        with path.open("rb", buffering=0) as file:
            for place, name in enumerate(index):
                if layout == "channels_first" and len(shape) == 2:
                    turned = np.empty(shape[::-1], np.float32)  # (channels, regions)
                    rows[name].read_into(turned, file)
                    features[place] = turned.T
                else:
                    rows[name].read_into(features[place], file)
    except (OSError, ValueError, BadPickleError) as error:
        raise DataError(f"{path}: truncated or changed while it was read ({error}); make it again") from error
    check_finite(path, features, index)
    return Held(index, features, None)


def _one_shape(path: Path, rows: Mapping[str, StoredArray], layout: Layout) -> tuple[int, ...]:
    """Return the common shape of all rows as features."""
    first, shape = "", cast(tuple[int, ...], (0,))
    for name, row in rows.items():
        plain = without_batch(row.shape)
        found = as_features(plain, layout)
        first, shape = (first, shape) if first else (name, found)
        if not found or 0 in found or found != shape:
            shapes = f"{found} at {name!r}, {shape} at {first!r}"
            raise DataError(f"{path}: ragged or empty features: {shapes}; extract them again")
        require_layout(path, plain, layout)
    return shape


def _kind(value: Any) -> str:
    known = {Pairs: "dict", Stretch: "text", StoredArray: "an array", Name: "a class"}
    return known.get(type(value), type(value).__name__)


def _shown(key: Any) -> str:
    flat = not isinstance(key, tuple) or (len(key) < 10 and all(type(item) in (str, int, float) for item in key))
    text = repr(key) if flat and not isinstance(key, list) else _kind(key)
    return text if len(text) <= 80 else f"{text[:80]}..."


def check_finite(path: Path, rows: np.ndarray, ids: Iterable[str]) -> None:
    """Raise DataError with the first picture whose features are not finite."""
    for start in range(0, len(rows), FINITE_ROWS):  # in parts: a bool per number would take a quarter more memory
        finite = np.isfinite(rows[start : start + FINITE_ROWS]).all(axis=tuple(range(1, rows.ndim)))
        if not finite.all():
            name = next(itertools.islice(ids, start + int(finite.argmin()), None))
            raise DataError(f"{path}: the features of {name!r} are not finite; extract them again")


def read_h5(path: Path, layout: Layout = "auto") -> Held:
    """Open an HDF5 file with captioner's structure; see `captioner.features.store.open_features` for the refusals."""
    content = read_hdf5(path, ["ids"], "features", ["encoder"])
    rows = content.rows
    if rows is None or "ids" not in content.arrays:
        missing = "features" if rows is None else "ids"
        raise DataError(f"{path}: no dataset {missing!r} in it; it was not written by captioner")
    if content.arrays["ids"].ndim != 1:
        raise DataError(f"{path}: its ids are not a list of texts; extract again")
    try:
        ids = IdIndex(np.asarray(content.arrays["ids"], "S"))
        for name in ids:  # each must be a text
            if not name or "\0" in name:
                raise ValueError("an id is empty or contains a zero byte")
        if "encoder" not in content.attributes:  # written by another program, with its own names of pictures
            names = normalize_ids(ids)
            ids = IdIndex.of([names[name] for name in ids])
        description = json.loads(content.attributes["encoder"]) if "encoder" in content.attributes else None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON
        raise DataError(f"{path}: its ids or its encoder cannot be read ({error}); extract again") from error
    if description is not None and not isinstance(description, dict):
        raise DataError(
            f"{path}: its encoder is described by {type(description).__name__}, not by a dict; extract again"
        )
    different = len(ids) - (ids.repeated() is not None)
    if len(rows.shape) not in (2, 3) or rows.dtype.kind != "f" or 0 in rows.shape[1:] or different != len(rows):
        raise DataError(f"{path}: {different} ids and features {rows.shape} {rows.dtype} do not fit; extract again")
    if description is None and len(rows.shape) == 3:
        require_layout(path, rows.shape[1:], layout)
        if layout == "channels_first":
            return Held(ids, TurnedRows(rows), description)
    return Held(ids, rows, description)


def read_sources(path: Path) -> np.ndarray | None:
    """Return the sizes and digests of the picture files that an HDF5 file was made from, or None."""
    arrays = read_hdf5(path, ["bytes", "digests"]).arrays
    if len(arrays) != 2:
        return None
    sizes, digests = arrays["bytes"], arrays["digests"]
    if (
        sizes.ndim != 1
        or digests.ndim != 2
        or len(sizes) != len(digests)
        or digests.dtype != np.uint8
        or sizes.dtype.kind not in "iu"
    ):
        raise DataError(f"{path}: its sizes and digests of pictures do not fit; extract again")
    sources = np.zeros(len(sizes), [("bytes", "<i8"), ("digest", f"V{digests.shape[1]}")])
    sources["bytes"], sources["digest"] = sizes, digests.view(f"V{digests.shape[1]}")[:, 0]
    return sources


def write_pickle(path: Path, temporary: Path, content: Content) -> None:
    """Write a dict image_id -> float32 (1, ...)."""
    rows = _checked(path, content, "float32")
    with temporary.open("wb") as file:
        pickle.dump({name: row[np.newaxis] for name, row in rows}, file, protocol=4)


def write_h5(path: Path, temporary: Path, content: Content) -> None:
    """Write an HDF5 file with one chunk per picture; readers need HDF5 1.10 or later."""
    with h5py.File(_create(temporary)) as file:
        shape = (len(content.ids), *content.shape)
        features = file.create_dataset("features", shape, content.dtype, chunks=(1, *content.shape))
        rest = (0,) * len(content.shape)
        for index, (_, row) in enumerate(_checked(path, content, content.dtype)):
            # a tenth of the time of `features[index] = row`
            features.id.write_direct_chunk((index, *rest), np.ascontiguousarray(row).tobytes())
        encoded = content.ids.encoded
        text = h5py.string_dtype("utf-8", encoded.dtype.itemsize)
        ids = file.create_dataset("ids", encoded.shape, text)
        for part in _pieces(len(encoded)):
            ids[part] = encoded[part].astype(text)
        if content.sources is not None:
            _write_sources(file, len(encoded), content.sources)
        if content.description is not None:
            file.attrs["encoder"] = json.dumps(content.description)


def _write_sources(file: h5py.File, count: int, sources: Callable[[slice], np.ndarray]) -> None:
    width = sources(slice(0, 1)).dtype["digest"].itemsize
    sizes = file.create_dataset("bytes", (count,), "<i8")
    digests = file.create_dataset("digests", (count, width), np.uint8)
    for part in _pieces(count):
        found = sources(part)
        sizes[part] = found["bytes"]
        digests[part] = np.array(found["digest"]).view(np.uint8).reshape(-1, width)


def _pieces(count: int) -> Iterator[slice]:
    """Yield parts of a long dataset, so that no full copy is needed in memory."""
    for start in range(0, count, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, count))


def _create(path: Path) -> h5py.h5f.FileID:
    """Create an HDF5 file that indexes its chunks without a tree and has no time stamps: equal content, equal bytes."""
    creation, access = h5py.h5p.create(h5py.h5p.FILE_CREATE), h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    creation.set_obj_track_times(False)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    return h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, creation, access)


def _checked(path: Path, content: Content, dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, row in zip(content.ids, content.rows, strict=True):
        if row.shape != content.shape:
            raise DataError(f"{path}: the features of {name!r} have the shape {row.shape}, others {content.shape}")
        with np.errstate(over="ignore"):
            narrow = np.asarray(row, dtype)
        if not np.isfinite(narrow).all():
            hint = f" in {dtype}; store them in float32" if np.isfinite(row).all() else ""
            raise DataError(f"{path}: the features of {name!r} are not finite{hint}")
        yield name, narrow


READERS: dict[str, Callable[[Path, Layout], Held]] = {".pkl": read_pickle, ".h5": read_h5}
WRITERS: dict[str, Callable[[Path, Path, Content], None]] = {".pkl": write_pickle, ".h5": write_h5}
