"""File locks, so that two processes do not write the same output and mix their data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from captioner.storage import DataError

LOCK = ".lock"


def locked(path: Path) -> BinaryIO:
    """Open a file, creating it if necessary, and lock it until it is closed.

    Raises:
        BlockingIOError: another process has locked the file.
    """
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: PTH123, SIM115
        try:
            _lock(file)
        except BlockingIOError:
            file.close()
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # the previous owner has removed it, so the locked file has no name any more


def _lock(file: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no flock
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder for this process, creating it if necessary; the lock ends with the process.

    Raises:
        DataError: another process has locked the folder, or it cannot be created.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = locked(path)
    except BlockingIOError:
        raise DataError(f"{folder}: another process is writing to it; wait for it, or name another folder") from None
    except OSError as error:
        raise DataError(f"{folder}: cannot be written to ({error.strerror or error}); name another folder") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is locked, so that a waiting process creates a new file
        file.close()
        with contextlib.suppress(OSError):
            folder.rmdir()  # succeeds only if nothing was written
