"""Reads the tensors of an early torch checkpoint (before torch 1.6: five pickles, then raw storages) without torch."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from captioner.storage import AllowListUnpickler, DataError, ForbiddenNameError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    length: int


class _View(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _View:
    return _View(storage, offset, shape, strides)


# what the names in a checkpoint stand for here
_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
}


class _Unpickler(AllowListUnpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, _NAMES)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, count, _ = pid  # ("storage", type, key, device, number of elements, view)
        return _Storage(dtype, key, count)


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by name.

    Raises:
        DataError: the file is missing, truncated, of another format, or asks for names that no checkpoint needs.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
                raise ValueError("not a torch checkpoint of the early format")
            _Unpickler(file).load()  # the writer's byte order and type sizes; only little-endian was ever written
            views: Mapping[str, _View] = _Unpickler(file).load()
            keys: list[str] = _Unpickler(file).load()
            storages = {view.storage.key: view.storage for view in views.values()}
            data = {key: _read_storage(file, storages[key]) for key in keys}
            return {name: _tensor(view, data[view.storage.key]) for name, view in views.items()}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except ForbiddenNameError as error:
        raise DataError(f"{path}: refused, it asks for {error}, which no checkpoint needs; it may be hostile") from None
    except Exception as error:  # a broken pickle raises nearly anything
        raise DataError(f"{path}: truncated or not a checkpoint ({error or type(error).__name__})") from error


def _read_storage(file: BinaryIO, storage: _Storage) -> np.ndarray:
    (count,) = struct.unpack("<q", file.read(8))
    data = file.read(count * storage.dtype.itemsize) if count == storage.length else b""
    if len(data) != storage.length * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key} is cut off")
    return np.frombuffer(data, storage.dtype)


def _tensor(view: _View, data: np.ndarray) -> np.ndarray:
    # as_strided reads wherever it is told to: nothing outside the storage
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if min((view.offset, *view.shape, *view.strides), default=0) < 0 or (0 not in view.shape and last >= len(data)):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * data.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(data[view.offset :], view.shape, strides, writeable=False)
