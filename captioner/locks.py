"""Locks on files: two processes that write one output would leave a mixture of both."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from captioner.storage import DataError

LOCK = ".lock"


def locked(path: Path) -> BinaryIO:
    """Open a file that no other process has locked, made where there is none, and lock it until it is closed.

    Raises:
        BlockingIOError: another process has locked it.
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
        file.close()  # whoever had it has removed it: what we have locked has no name any more


def _lock(file: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no such locks
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a folder, made where there is none, for this process alone; a killed process holds nothing any more.

    Raises:
        DataError: another process holds it, or it cannot be made.
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
        path.unlink(missing_ok=True)  # while it is locked: whoever waits for it then makes a new one
        file.close()
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing was written
