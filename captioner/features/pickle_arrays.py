"""Reads pickles of features: dicts, texts, numbers, and arrays that stay in the file until a row is read."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from captioner.features.foreign_files import MAGIC, describe_foreign
from captioner.pickle_opcodes import PickleMachine
from captioner.pickle_values import BadPickleError, ForeignPickleError, Name, Pairs, Stretch
from captioner.storage import DataError

MAX_DIMENSIONS = 8
MAX_TEXT = 4096

_CORES = ("numpy.core", "numpy._core")  # NumPy 1 and 2
_ARRAY_CLASSES = {("numpy", "ndarray"), ("numpy", "memmap"), ("numpy.core.memmap", "memmap")}
_RECONSTRUCT = {(f"{core}.multiarray", "_reconstruct") for core in _CORES}
_FROM_BUFFER = {(f"{core}.numeric", "_frombuffer") for core in _CORES}
_SCALAR = {(f"{core}.multiarray", "scalar") for core in _CORES}
_DTYPE = {("numpy", "dtype")}
_ENCODE = {("_codecs", "encode")}
_BYTES = {(module, name) for module in ("__builtin__", "builtins") for name in ("bytes", "bytearray")}
_ORDERED = {("collections", "OrderedDict")}
_ASKS_FOR_A_CLASS = {("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")}  # which comes next
_NAMES = dict.fromkeys(
    (
        *(_ARRAY_CLASSES | _RECONSTRUCT | _FROM_BUFFER | _SCALAR | _DTYPE | _ENCODE | _BYTES | _ORDERED),
        *_ASKS_FOR_A_CLASS,
    )
)

_SIZES = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8)}


class _Number:
    """A NumPy dtype: a kind (f, i, u; U and S for texts) and a size in bytes; its state gives the order of bytes."""

    __slots__ = ("kind", "order", "size")

    def __init__(self, code: str) -> None:
        kind, digits = code[:1], code[1:]
        if not digits.isascii() or not digits.isdigit() or len(digits) > 4:
            raise BadPickleError(f"expected image_id -> array of numbers, found an array of {_named(code)}")
        size = int(digits) * (4 if kind == "U" else 1)
        if kind not in "SU" and size not in _SIZES.get(kind, ()):
            raise BadPickleError(f"expected image_id -> array of numbers, found an array of {_named(code)}")
        self.kind, self.size, self.order = kind, size, ""

    def set_state(self, state: Any) -> None:
        """Take the state that NumPy gives a plain dtype; there is nothing to choose in it but the order of bytes."""
        plain = (-1, -1, 0) if self.kind not in "SU" else (self.size, 4 if self.kind == "U" else 1)
        if (
            self.order
            or not isinstance(state, tuple)
            or len(state) not in (8, 9)  # the ninth is metadata, None where there are none
            or state[0] not in (3, 4)
            or _text(state[1]) not in ("<", ">", "|", "=")
            or any(item is not None for item in (*state[2:5], *state[8:]))
            or state[5 : 5 + len(plain)] != plain
            or not isinstance(state[7], int)
        ):
            raise BadPickleError("the type of its numbers is forged")
        self.order = _text(state[1])

    def plain(self) -> np.dtype:
        """Return the dtype: made here, of nothing but a kind, a size and an order."""
        return np.dtype(f"{self.order if self.order in ('<', '>') else '='}{self.kind}{self.size}")


def _named(code: str) -> str:
    known = {"O": "Python objects", "V": "records", "b": "booleans", "U": "texts", "M": "dates", "c": "complex numbers"}
    return known.get(code[:1], f"the type {code[:16]!r}")


def _text(value: Any) -> str:
    """Return a text, which Python 2 may have written as bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class StoredArray:
    """An array in a pickle; its numbers are read from the file on demand.

    Attributes:
        dtype: type of its numbers, None before the pickle defines it.
        shape: its shape, checked against its number of bytes in the file.
    """

    dtype: np.dtype | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: bytes | Stretch = b""

    def fill(self, dtype: Any, shape: Any, fortran: bool, data: Any) -> None:
        """Set the array's type, shape and data. It may be called only once.

        Raises:
            BadPickleError: it does not fit.
        """
        if self.dtype is not None or not isinstance(dtype, _Number) or not isinstance(shape, tuple):
            raise BadPickleError("an array in it is forged")
        if dtype.kind in "SU":
            raise BadPickleError("expected image_id -> array of numbers, found an array of texts")
        if not all(type(side) is int and side >= 0 for side in shape) or len(shape) > MAX_DIMENSIONS:
            raise BadPickleError("an array in it has an impossible shape")
        if not isinstance(data, bytes | Stretch) or (isinstance(data, Stretch) and data.coding in ("text", "line")):
            raise BadPickleError("an array in it has no bytes")
        wanted, whole = math.prod(shape) * dtype.size, isinstance(data, bytes) or data.coding == "raw"
        found = len(data) if isinstance(data, bytes) else data.length
        if wanted > found or (whole and wanted != found):
            raise BadPickleError(f"an array in it claims {wanted} bytes, and the file has {found}")
        self.dtype, self.shape, self.fortran, self.data = dtype.plain(), shape, fortran, data

    def read_into(self, row: np.ndarray, file: BinaryIO) -> None:
        """Copy the numbers to `row`, float32 of as many elements as this has, read from the unbuffered `file`.

        Raises:
            BadPickleError: the file has changed, or the bytes do not fit.
        """
        data = self.data
        if isinstance(data, Stretch):
            if data.coding == "raw" and self.dtype == row.dtype and not self.fortran and row.flags.c_contiguous:
                _read_exactly(file, data.start, row.reshape(-1).view(np.uint8).data)
                return
            raw = bytearray(data.length)
            _read_exactly(file, data.start, memoryview(raw))
            data = bytes(raw) if data.coding == "raw" else data.decode(bytes(raw))
        assert self.dtype is not None
        if len(data) != math.prod(self.shape) * self.dtype.itemsize:
            raise BadPickleError("an array in it has too many or too few bytes")
        values = np.frombuffer(data, self.dtype).reshape(self.shape, order="F" if self.fortran else "C")
        with np.errstate(over="ignore", invalid="ignore"):  # too large values become infinite: refused later
            row[...] = values.reshape(row.shape)


def _read_exactly(file: BinaryIO, start: int, into: memoryview) -> None:
    file.seek(start)
    done = 0
    while done < len(into):
        count = file.readinto(into[done:])  # type: ignore[attr-defined]
        if not count:
            raise BadPickleError("it became shorter while it was read")
        done += count


class _FeaturesMachine(PickleMachine):
    """Builds arrays, numbers and bytes from the few names that pickles of NumPy arrays use."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file, size, _NAMES)

    def call(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        pair = (name.module, name.name)
        if pair in _RECONSTRUCT:
            return self._reconstruct(*arguments)
        if pair in _FROM_BUFFER:
            data, dtype, shape, order = arguments
            array = StoredArray()
            array.fill(dtype, shape, _text(order) == "F", data)
            return array
        if pair in _DTYPE:
            return _Number(_text(arguments[0]) if len(arguments) in (1, 3) else "")
        if pair in _SCALAR:
            return _scalar(*arguments)
        if pair in _ENCODE:
            return _encode(*arguments)
        if pair in _BYTES and not arguments:
            return b""
        if pair in _BYTES and len(arguments) == 1 and isinstance(arguments[0], bytes | Stretch):
            return arguments[0]  # a bytearray
        if pair in _ORDERED and not arguments:
            return Pairs()
        if pair in _ORDERED:
            raise BadPickleError("it contains an OrderedDict of Python 2; save dict(features) instead")
        return super().call(name, arguments)

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> StoredArray:
        if not isinstance(kind, Name) or (kind.module, kind.name) not in _ARRAY_CLASSES:
            raise BadPickleError("an array in it is forged")
        if shape != (0,) or _text(code) != "b":
            raise BadPickleError("an array in it is forged")
        return StoredArray()

    def set_state(self, thing: Any, state: Any) -> None:
        if isinstance(thing, _Number):
            thing.set_state(state)
        elif isinstance(thing, StoredArray) and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            thing.fill(dtype, shape, bool(fortran), data)
        else:
            super().set_state(thing, state)


def _scalar(dtype: Any, data: Any) -> float | int | str | bytes:
    if not isinstance(dtype, _Number) or not isinstance(data, bytes) or len(data) != dtype.size:
        raise BadPickleError("a number in it is forged")
    if dtype.kind == "U":
        return data.decode("utf-32-be" if dtype.order == ">" else "utf-32-le").rstrip("\0")
    if dtype.kind == "S":
        return data.rstrip(b"\0")
    return np.frombuffer(data, dtype.plain())[0].item()


def _encode(text: Any, coding: Any) -> bytes | Stretch:
    # protocols 0 to 2 have no bytes: Python 3 writes them as a text in which a character is a byte
    if _text(coding).replace("-", "") != "latin1":
        raise BadPickleError("it encodes texts in another way than pickle")
    if isinstance(text, str):
        return text.encode("latin-1")
    if isinstance(text, Stretch) and text.coding in ("text", "line"):
        return Stretch(text.start, text.length, f"{text.coding}-latin1")
    raise BadPickleError("it encodes a value that is not a text")


def read_arrays(path: Path) -> tuple[Any, int]:
    """Return the content of a pickle, with dicts as `Pairs` and arrays as `StoredArray`, and the size of the file.

    Raises:
        DataError: the file is missing, broken, or has content that a dict of arrays does not need; for known content
            the message says how to convert it.
    """
    try:
        with path.open("rb", buffering=2**15) as file:
            size = os.fstat(file.fileno()).st_size
            beginning = file.read(8)
            for magic, what in MAGIC.items():
                if beginning.startswith(magic):
                    raise DataError(f"{path}: not a pickle but {what}")
            file.seek(0)
            return _FeaturesMachine(file, size).load(), size
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ForeignPickleError as error:
        raise DataError(f"{path}: {describe_foreign(error)}") from None
    except BadPickleError as error:
        raise DataError(f"{path}: {_described(str(error))}") from error


def _described(fault: str) -> str:
    if fault.startswith("expected"):
        return fault
    return f"truncated or not a pickle of features ({fault}); make it again"


def image_key(key: Any) -> str | None:
    """Return the text of a dict's key (a name, a number, or bytes from Python 2), or None if it names no picture."""
    if isinstance(key, bytes):
        try:
            key = key.decode()
        except UnicodeDecodeError:
            key = key.decode("latin-1")
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if isinstance(key, bool) or not isinstance(key, str | int):
        return None
    text = str(key)
    return text if 0 < len(text) <= MAX_TEXT and "\0" not in text else None
