"""Reads the tensors of an early torch checkpoint (before torch 1.6: five pickles, then raw storages) without torch."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from captioner.pickle_opcodes import PickleMachine
from captioner.pickle_values import BadPickleError, ForeignPickleError, Name, Pairs
from captioner.storage import DataError

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


# a checkpoint's names of types, and the NumPy types
_STORAGES: dict[tuple[str, str], np.dtype] = {
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}
_ORDERED = ("collections", "OrderedDict")
_TENSOR = ("torch._utils", "_rebuild_tensor_v2")


class _CheckpointMachine(PickleMachine):
    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file, size, dict.fromkeys((*_STORAGES, _ORDERED, _TENSOR)))

    def call(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        if (name.module, name.name) == _ORDERED and not arguments:
            return Pairs()
        if (name.module, name.name) == _TENSOR and len(arguments) >= 4:
            return _view(*arguments[:4])
        return super().call(name, arguments)

    def set_state(self, thing: Any, state: Any) -> None:
        if not isinstance(thing, Pairs):  # torch gives an OrderedDict metadata, which are not needed
            super().set_state(thing, state)

    def persistent(self, key: Any) -> _Storage:
        _, kind, name, _, count, _ = key  # ("storage", type, key, device, number of elements, view)
        if not isinstance(kind, Name) or not isinstance(name, str) or type(count) is not int:
            raise BadPickleError("a storage in it is forged")
        return _Storage(_STORAGES[kind.module, kind.name], name, count)


def _view(storage: Any, offset: Any, shape: Any, strides: Any) -> _View:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or len(shape) != len(strides) or any(type(n) is not int for n in numbers):
        raise BadPickleError("a tensor in it is forged")
    return _View(storage, offset, tuple(shape), tuple(strides))


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by name.

    Raises:
        DataError: the file is missing, truncated, in another format, or uses names that no checkpoint needs.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size

            def load() -> Any:
                return _CheckpointMachine(file, size).load()

            if load() != _MAGIC or load() != _PROTOCOL:
                raise ValueError("not a torch checkpoint of the early format")
            load()  # the writer's byte order and type sizes; only little-endian was ever written
            views: Mapping[str, _View] = dict(load())
            keys: list[str] = load()
            storages = {view.storage.key: view.storage for view in views.values()}
            data = {key: _read_storage(file, storages[key], size) for key in keys}
            return {name: _tensor(view, data[view.storage.key]) for name, view in views.items()}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except ForeignPickleError as error:
        raise DataError(f"{path}: refused, {error}, which no checkpoint needs; it may be hostile") from None
    except Exception as error:  # a broken pickle raises nearly anything
        raise DataError(f"{path}: truncated or not a checkpoint ({error or type(error).__name__})") from error


def _read_storage(file: BinaryIO, storage: _Storage, size: int) -> np.ndarray:
    (count,) = struct.unpack("<q", file.read(8))
    there = 0 <= count * storage.dtype.itemsize <= size - file.tell() and count == storage.length
    data = file.read(count * storage.dtype.itemsize) if there else b""
    if len(data) != storage.length * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key} is cut off")
    return np.frombuffer(data, storage.dtype)


def _tensor(view: _View, data: np.ndarray) -> np.ndarray:
    # as_strided can read any memory, so check that the tensor lies within its storage
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if min((view.offset, *view.shape, *view.strides), default=0) < 0 or (0 not in view.shape and last >= len(data)):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * data.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(data[view.offset :], view.shape, strides, writeable=False)
