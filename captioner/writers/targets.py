"""Check that files beside pictures can be written, one for each picture, and write them safely."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from captioner.storage import DataError, write_bytes
from captioner.writers.result import Captioned, Writer

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # the next picture would fail, too


class HopelessError(DataError):
    """No further file can be written: the disk is full or not writable."""


def require_writable(folders: Iterable[Path], option: str) -> None:
    """Refuse folders that cannot be written to, before anything is captioned.

    Raises:
        DataError: with the name of the first such folder.
    """
    for folder in folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise DataError(
                f"{folder}: cannot be written to, but {option} writes there; change its permissions, or copy the "
                "pictures to another folder"
            )


class Owners:
    """Remembers which picture a file belongs to.

    Args:
        target: picture -> its file.
        option: the option that writes the files, for messages.
    """

    def __init__(self, target: Callable[[Path], Path], option: str) -> None:
        self._target, self._option = target, option
        self._names: dict[str, str] = {}  # file -> the picture's name; its folder is the file's folder

    def require_own(self, picture: Path) -> Path:
        """Return a picture's file. Raises DataError if it belongs to another picture."""
        path = self._target(picture)
        if (other := self._names.setdefault(str(path.absolute()), picture.name)) != picture.name:
            raise DataError(
                f"{picture.with_name(other)} and {picture} would share {path.name}; rename one, or leave one out "
                f"({self._option})"
            )
        return path


def require_one_each(pictures: Iterable[Path], target: Callable[[Path], Path], option: str) -> set[Path]:
    """Refuse two pictures that would share one file; return the folders that are written to.

    Raises:
        DataError: with both names.
    """
    owners = Owners(target, option)
    return {owners.require_own(picture).parent for picture in pictures}


class Sidecar(Writer, Protocol):
    """A writer of a file beside each picture."""

    option: str

    def target(self, picture: Path) -> Path:
        """Return a picture's file."""
        ...

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture has a text to keep."""
        ...


class OneEach:
    """A writer that does not let an arriving picture overwrite the file of another one.

    Args:
        writer: writes the files.
        known: the pictures that are known at the start.
    """

    def __init__(self, writer: Sidecar, known: Iterable[Path]) -> None:
        self._writer, self._owners = writer, Owners(writer.target, writer.option)
        for picture in known:
            self._owners.require_own(picture)

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture has its own text to keep."""
        try:
            self._owners.require_own(picture)
        except DataError:
            return False  # the error is reported when the caption is written
        return self._writer.is_done(picture)

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        self._owners.require_own(result.path)
        self._writer.add(result)

    def close(self) -> None:
        """See Writer.close."""
        self._writer.close()


def replace_file(path: Path, data: bytes, keep_times: bool) -> None:
    """Write a file atomically; an existing file keeps its permissions, and with `keep_times` its times.

    A link stays a link; the file that it points to is replaced.

    Raises:
        HopelessError: the disk is full or read-only.
        DataError: the file cannot be written; the existing file is unchanged.
    """
    path = path.resolve() if path.is_symlink() else path
    before = path.stat() if path.exists() else None
    try:
        write_bytes(path, data)
    except DataError as error:
        raise as_hopeless(error) from error.__cause__
    if before is not None:
        with contextlib.suppress(OSError):
            os.chmod(path, before.st_mode & 0o7777)  # noqa: PTH101 - of the file, never of a link
            shutil.chown(path, before.st_uid, before.st_gid)
        if keep_times:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def as_hopeless(error: DataError) -> DataError:
    """Return a write error unchanged, or as a HopelessError if no further file can be written."""
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in _HOPELESS:
        return HopelessError(f"{error}; run the same command again to continue")
    return error


def read_file(path: Path) -> bytes | None:
    """Return a file's content, or None if it does not exist.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
