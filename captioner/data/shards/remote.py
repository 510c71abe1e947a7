"""The files of shards, on this machine or anywhere that TensorFlow or fsspec can read."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from captioner.storage import DataError

ENDS = 2**16  # bytes at the beginning and the end of a shard that identify it without a manifest


def local_copy(address: str, folder: Path, digest: str | None = None) -> str:
    """Return a path that TensorFlow can read: the shard itself, or a local copy if only fsspec can open it.

    Args:
        address: of the shard.
        folder: where copies are kept; a copy is used as long as the shard is the same.
        digest: of the shard, from its manifest. Without it, the size and the time of change identify the shard.

    Raises:
        DataError: neither can open the shard; the message names a missing package.
    """
    if not needs_fsspec(address):
        return address.removeprefix("file://")
    version = f"{address} {digest or _version_of(address)}"
    target = folder / f"{hashlib.sha256(version.encode()).hexdigest()[:12]}-{address.rpartition('/')[2]}"
    if target.is_file():
        return str(target)
    folder.mkdir(parents=True, exist_ok=True)
    fsspec = _fsspec(address)
    try:
        with fsspec.open(address, "rb") as remote, tempfile.NamedTemporaryFile(dir=folder, delete=False) as local:
            shutil.copyfileobj(remote, local)
        Path(local.name).replace(target)
    except Exception as error:  # every file system has its own errors
        raise _unreadable(address, error) from None
    return str(target)


def needs_fsspec(address: str) -> bool:
    """Return whether only fsspec, and not TensorFlow, can open an address."""
    return "://" in address and address.partition("://")[0] not in ("file", "gs", "hdfs", "ram")


def read_remote(address: str) -> bytes:
    """Return the current content of a small file that only fsspec can open.

    Raises:
        DataError: it cannot be opened.
    """
    try:
        with _fsspec(address).open(address, "rb") as remote:
            return bytes(remote.read())
    except Exception as error:  # every file system has its own errors
        raise _unreadable(address, error) from None


def fingerprint(address: str) -> str:
    """Return a digest of a shard's size, beginning and end: reading hundreds of gigabytes would take an hour.

    Raises:
        DataError: the shard cannot be read.
    """
    import tensorflow as tf

    try:
        size = int(tf.io.gfile.stat(address).length)
        with tf.io.gfile.GFile(address, "rb") as file:
            begin = file.read(ENDS)
            file.seek(max(0, size - ENDS))
            end = file.read(ENDS)
    except tf.errors.OpError as error:
        raise DataError(f"{address}: cannot be read ({reason(error)}); make the shard again or copy it again") from None
    return hashlib.sha256(b"%d " % size + begin + end).hexdigest()


def reason(error: Exception) -> str:
    """Return the first line of an error's message, for a message of one line; without one, its class."""
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


def _version_of(address: str) -> str:
    """Return what identifies a file's version, from its file system."""
    try:
        system, path = _fsspec(address).core.url_to_fs(address)
        system.invalidate_cache()
        about = system.info(path)
    except Exception as error:  # every file system has its own errors
        raise _unreadable(address, error) from None
    names = ("ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "created", "md5Hash")
    return " ".join(str(about[name]) for name in ("size", *names) if about.get(name) is not None)


def _unreadable(address: str, error: Exception) -> DataError:
    return error if isinstance(error, DataError) else DataError(f"{address}: cannot be read ({reason(error)})")


def _fsspec(address: str) -> Any:
    try:
        import fsspec
    except ImportError:
        scheme = address.partition("://")[0]
        raise DataError(f"{address}: needs fsspec; pip install fsspec and the package for {scheme}://") from None
    return fsspec
