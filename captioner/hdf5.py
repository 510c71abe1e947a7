"""Read untrusted HDF5 files without opening a forged file with the HDF5 library in this process.

Another process opens the file, within limits of time and memory, and reports where the numbers are in the file. They
are then read directly, without the HDF5 library. Only compressed or chunked data are opened with it in this process,
after the other process has read all of them without a failure.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from captioner.storage import DataError

_CHILD = Path(__file__).with_name("hdf5_child.py")
_SECONDS = 60  # wall-clock time, for a busy machine; the other process also limits its processor time
_BYTES_A_SECOND = 5 * 10**6
SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NUMBERS, _TEXTS = ("f", "i", "u"), ("S",)


class StoredRows:
    """A dataset of numbers whose rows are read on demand, by any number of threads and processes.

    Attributes:
        shape: (rows, ...).
        dtype: type of the numbers.
    """

    def __init__(self, file: int, path: str, name: str, shape: tuple[int, ...], dtype: np.dtype, starts: Any) -> None:
        """Take over the open file and the offsets of its rows, (rows,) int64, or None if HDF5 has to read them."""
        self.shape, self.dtype = shape, dtype
        self._file, self._starts = file, starts
        self._lock = threading.Lock()
        if starts is None:
            import h5py

            self._dataset = h5py.File(path, "r", locking=False)[name]
        weakref.finalize(self, os.close, file)  # last: if something fails before, the caller closes the file

    def __len__(self) -> int:
        return self.shape[0]

    def read_into(self, row: np.ndarray, place: int) -> None:
        """Read row number `place` into `row`, a contiguous array of the row's shape and dtype.

        Raises:
            OSError, ValueError, RuntimeError: the file is broken.
        """
        if self._starts is None:
            with self._lock:
                self._dataset.read_direct(row, np.s_[place])
            return
        into, start = row.reshape(-1).view(np.uint8).data, int(self._starts[place])
        if self._read_at(into, start) != len(into):
            raise OSError(f"row {place} is truncated")

    def _read_at(self, into: memoryview, start: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file, [into], start)
        with self._lock:
            os.lseek(self._file, start, os.SEEK_SET)
            data = os.read(self._file, len(into))
        into[: len(data)] = data
        return len(data)


@dataclass(frozen=True)
class Hdf5Content:
    """The requested parts of an HDF5 file that exist.

    Attributes:
        names: names of the objects in the root.
        arrays: the datasets that were requested whole, numbers or texts (of NumPy's kind `S`).
        rows: the dataset whose rows are read one by one.
        attributes: text attributes of the root.
    """

    names: Sequence[str] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: StoredRows | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def read_hdf5(
    path: Path, datasets: Sequence[str] = (), rows: str | None = None, attributes: Sequence[str] = ()
) -> Hdf5Content:
    """Return the requested parts of an HDF5 file; parts that are missing, or only links, are left out.

    Args:
        path: the file.
        datasets: names of datasets of numbers or texts to return whole.
        rows: name of a dataset of which only single rows are needed.
        attributes: names of text attributes of the root.

    Raises:
        DataError: the file is missing, broken, or takes more time or memory than allowed for its size.
    """
    file = _open(path)
    stored = None
    try:
        size, begins = os.fstat(file).st_size, os.read(file, len(SIGNATURE))
        name = _name(path, file)
        said, data = _ask(path, file, name, size, {"datasets": [*datasets], "rows": rows, "attributes": [*attributes]})
        place, arrays = 0, {}
        for dataset, (code, shape) in said["datasets"].items():
            arrays[dataset], place = _array(data, place, code, shape, _NUMBERS + _TEXTS)
        if said["rows"] is not None:
            code, shape, plain = said["rows"]
            dtype = _dtype(code, _NUMBERS)
            starts = _array(data, place, "<i8", shape[:1], _NUMBERS)[0] if plain and begins == SIGNATURE else None
            _check_places(starts, math.prod(shape[1:]) * dtype.itemsize, size)
            stored = StoredRows(file, name, str(rows), tuple(shape), dtype, starts)
    except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise DataError(f"{path}: broken, truncated or not HDF5 ({error}); get it again") from error
    finally:
        if stored is None:
            os.close(file)
    return Hdf5Content(said["names"], arrays, stored, said["attributes"])


def require_sound(path: Path, member: str, size: int) -> None:
    """Refuse a zip archive with a harmful HDF5 file; another process reads all of the file first.

    Args:
        path: the archive.
        member: name of the HDF5 file in the archive.
        size: unpacked size of the HDF5 file.

    Raises:
        DataError: the archive is missing, or the HDF5 file is broken, forged, or linked to other files.
    """
    file = _open(path)
    try:
        _ask(path / member, file, _name(path, file), size, {"member": member})
    finally:
        os.close(file)


def _open(path: Path) -> int:
    try:
        # It stays open while it is read, because the file may be replaced in the meantime.
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _name(path: Path, file: int) -> str:
    """Return a name under which another process opens the same file, even if it has been replaced."""
    return f"/dev/fd/{file}" if Path("/dev/fd").is_dir() else str(path)


def _check_places(starts: np.ndarray | None, row: int, size: int) -> None:
    if starts is not None and len(starts) and (int(starts.min()) < 0 or int(starts.max()) > size - row):
        raise ValueError("it is truncated before its last row")


def _dtype(code: str, kinds: tuple[str, ...]) -> np.dtype:
    if code[:1] not in "<>|=" or code[1:2] not in kinds or not code[2:].isdigit():
        raise ValueError(f"numbers of the type {code[:20]!r}")
    return np.dtype(code)


def _array(
    data: memoryview, place: int, code: str, shape: Sequence[int], kinds: tuple[str, ...]
) -> tuple[np.ndarray, int]:
    dtype, count = _dtype(code, kinds), math.prod(shape)
    end = place + count * dtype.itemsize
    if end > len(data):
        raise ValueError("it is truncated")
    return np.frombuffer(data[place:end], dtype, count).reshape(shape), end


def _ask(path: Path, file: int, name: str, size: int, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], memoryview]:
    """Return the other process' report about a file, and the bytes of the arrays that follow."""
    # -P and -s: modules beside the script and in the user's site-packages are not imported by mistake
    command = [sys.executable, "-P", "-s", str(_CHILD), name, json.dumps(wanted), str(size)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        pass_fds=[file] if name.startswith("/dev/fd/") else (),
    )
    try:
        output, complaint = process.communicate(timeout=_SECONDS + size / _BYTES_A_SECOND)
    except subprocess.TimeoutExpired:
        raise DataError(f"{path}: takes too long to open; it is broken or hostile, get it again") from None
    finally:
        process.kill()
        process.wait()
    head, _, _ = output[: 2**24].partition(b"\n")
    if process.returncode or not head:
        raise DataError(f"{path}: {_end(process.returncode, complaint)}; it is broken or hostile, get it again")
    said = json.loads(head)
    if "fault" in said:
        raise DataError(f"{path}: broken, truncated or not HDF5 ({said['fault']}); get it again")
    return said, memoryview(output)[len(head) + 1 :]


def _end(code: int, complaint: bytes) -> str:
    if -code in (getattr(signal, name, None) for name in ("SIGPROF", "SIGXCPU", "SIGKILL")):
        return "takes far more time than a file of its size needs"
    if code < 0:
        return f"crashed the HDF5 library (signal {-code})"
    lines = complaint.decode(errors="replace").strip().splitlines()
    return f"cannot be opened ({lines[-1][:200] if lines else f'exit code {code}'})"
