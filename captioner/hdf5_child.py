"""Open an HDF5 file for another process, because a forged file can crash the HDF5 library.

`captioner.hdf5` runs this module as a script; it imports nothing of the package. HDF5 1.14.6 may loop forever, overflow
or use all memory on a forged file. Limits of processor time and memory then end only this process.

Arguments: the file; JSON with `datasets` (to return whole), `rows` (a dataset of which only the offset of each row in
the file is returned, or None) and `attributes` (texts of the root), or with `member` (an HDF5 file in a zip archive,
which is read completely but not returned); the size of the HDF5 file. The output on stdout is a line of JSON, followed
by the arrays.
"""

from __future__ import annotations

import io
import json
import math
import signal
import sys
import zipfile
from typing import Any

import h5py
import numpy as np

if sys.platform != "win32":
    import resource

SECONDS, BYTES_A_SECOND = 1.0, 20 * 10**6  # processor time: for any file, and bytes for each further second
FREE_BYTES = 150 * 10**6  # memory for any file
WHOLE_BYTES, WHOLE_FACTOR = 10 * 10**6, 8  # bytes of a dataset returned whole: for any file, plus a factor of its size
ROWS_FACTOR = 64  # unpacked rows may take this factor of the file's size
MOST_BYTES = 8 * 2**30  # maximum file size that counts for the memory limit
BLOCK_BYTES = 2**24
MAX_NAMES = 1000
MAX_OBJECTS = 50_000  # groups and datasets of a model
MAX_TEXT = 2**20
HARD = h5py.HardLink


class ForgedError(Exception):
    """The file has unexpected content; the message says what is wrong."""


def limit(size: int) -> None:
    """Limit this process to the time and memory that a file of `size` bytes needs."""
    if sys.platform == "win32":
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = SECONDS + size / BYTES_A_SECOND
    signal.setitimer(signal.ITIMER_PROF, seconds)  # because the limit below counts whole seconds
    most = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:  # noqa: PTH123
            now = int(file.read().split()[0]) * resource.getpagesize()
        most = now + FREE_BYTES + 2 * min(size, MOST_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return a dataset of the root, or None if it is a link or stored externally, which could read any other file."""
    if not isinstance(file.get(name, getlink=True), HARD):
        return None
    found = file[name]
    return found if isinstance(found, h5py.Dataset) and not found.external and not found.is_virtual else None


def whole(found: h5py.Dataset, size: int) -> np.ndarray:
    """Return the content of a dataset of numbers or texts."""
    if found.dtype.kind == "O":
        if h5py.check_string_dtype(found.dtype) is None or math.prod(found.shape) * 8 > size:
            raise ForgedError(f"{found.name} holds neither numbers nor texts")
        return np.asarray(found[:], "S")
    if found.dtype.kind not in "fiuS":
        raise ForgedError(f"{found.name} holds neither numbers nor texts")
    if math.prod(found.shape) * found.dtype.itemsize > WHOLE_BYTES + WHOLE_FACTOR * size:
        raise ForgedError(f"{found.name} claims far more than the file holds")
    return np.ascontiguousarray(found[...])


def places(found: h5py.Dataset, size: int) -> np.ndarray | None:
    """Return the offset of each row of a dataset in the file, (rows,) int64, or None if rows are not stored plainly."""
    row, count = math.prod(found.shape[1:]) * found.dtype.itemsize, found.shape[0]
    if count * row > size or found.id.get_create_plist().get_nfilters():
        return None
    if found.chunks is None:
        start = found.id.get_offset()
        return None if start is None else start + np.arange(count, dtype=np.int64) * row
    if found.chunks != (1, *found.shape[1:]):
        return None
    starts = np.full(count, -1, np.int64)

    def note(chunk: Any) -> None:
        if chunk.size != row or chunk.filter_mask:
            raise ForgedError(f"a chunk of {found.name} claims {chunk.size} bytes, but a row has {row}")
        starts[chunk.chunk_offset[0]] = chunk.byte_offset

    found.id.chunk_iter(note)
    if (starts < 0).any():
        raise ForgedError(f"row {int((starts < 0).argmax())} of {found.name} is missing")
    return starts


def read_through(found: h5py.Dataset, size: int) -> None:
    """Read a whole dataset, as the other process will do later, so that a crash happens here."""
    row = max(1, math.prod(found.shape[1:]) * found.dtype.itemsize)
    if math.prod(found.shape[:1]) * row > WHOLE_BYTES + ROWS_FACTOR * size:
        raise ForgedError(f"{found.name} claims far more than the file holds")
    if not found.ndim:
        found[()]
        return
    step = max(1, BLOCK_BYTES // row)
    for start in range(0, found.shape[0], step):
        found[start : start + step]


def walk(path: str, member: str, size: int) -> None:
    """Read a whole HDF5 file in a zip archive, as Keras will do later in the other process."""
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read(member))
    with h5py.File(content, "r") as file:
        waiting: list[h5py.Group | h5py.Dataset] = [file]
        met, claimed = set(), 0
        while waiting:
            found = waiting.pop()
            address = h5py.h5o.get_info(found.id).addr
            if address in met:
                continue
            met.add(address)
            for attribute in found.attrs:
                found.attrs[attribute]
            if isinstance(found, h5py.Dataset):
                if found.external or found.is_virtual:
                    raise ForgedError(f"{found.name} is stored outside the file")
                if found.dtype.hasobject:
                    raise ForgedError(f"{found.name} contains no numbers")
                claimed += math.prod(found.shape) * found.dtype.itemsize
                if claimed > WHOLE_BYTES + ROWS_FACTOR * size:
                    raise ForgedError("its weights claim far more than the file holds")
                read_through(found, size)
                continue
            if len(met) + len(waiting) + len(found) > MAX_OBJECTS:
                raise ForgedError(f"it contains more than {MAX_OBJECTS:,} groups and datasets")
            for name in found:
                if not isinstance(found.get(name, getlink=True), HARD):
                    raise ForgedError(f"{name[:100]} is a link")
                waiting.append(found[name])


def look(path: str, size: int, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return the report about a file, and the arrays that follow it."""
    arrays: list[np.ndarray] = []
    said: dict[str, Any] = {"datasets": {}, "attributes": {}, "rows": None}
    if "member" in wanted:
        walk(path, wanted["member"], size)
        return said, arrays
    with h5py.File(path, "r", locking=False) as file:
        said["names"] = [name for _, name in zip(range(MAX_NAMES), file, strict=False)]
        for name in wanted["datasets"]:
            if (found := dataset(file, name)) is not None:
                arrays.append(whole(found, size))
                said["datasets"][name] = [arrays[-1].dtype.str, arrays[-1].shape]
        if wanted["rows"] is not None and (found := dataset(file, wanted["rows"])) is not None:
            if found.dtype.kind not in "fiu" or not found.ndim:
                raise ForgedError(f"{found.name} contains no rows of numbers")
            starts = places(found, size)
            if starts is None:
                read_through(found, size)
            else:
                arrays.append(starts)
            said["rows"] = [found.dtype.str, found.shape, starts is not None]
        for name in wanted["attributes"]:
            value = file.attrs[name] if name in file.attrs else None  # noqa: SIM401 - attributes' get hides errors
            value = value.decode() if isinstance(value, bytes) else value
            if value is not None and not (isinstance(value, str) and len(value) <= MAX_TEXT):
                raise ForgedError(f"its attribute {name} is not text")
            if value is not None:
                said["attributes"][name] = value
    return said, arrays


def main() -> None:
    """Read the file as the arguments request, and print the report and the arrays."""
    path, wanted, size = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    limit(size)
    arrays: list[np.ndarray] = []
    try:
        said, arrays = look(path, size, wanted)
    except ForgedError as error:
        said = {"fault": str(error)}
    except MemoryError:
        said = {"fault": "it requires far more memory than a file of its size needs"}
    except Exception as error:  # h5py can raise almost any error on a broken file
        said = {"fault": " ".join(str(error).split())[:300] or type(error).__name__}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(array.data if array.size else b"")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
