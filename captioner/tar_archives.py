"""Read untrusted tar archives within limits, so that neither a forged header nor the content takes gigabytes."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

EXTENSIONS_OF_A_MEMBER = 8  # extension headers before a member, for a long name and other attributes
LARGEST_EXTENSION = 2**16  # bytes of such a header
FREE_BYTES, BYTES_A_BYTE = 2**28, 32  # unpacked bytes: for any file, and more for each of its bytes
FREE_MEMBERS, BYTES_A_MEMBER = 10_000, 20  # members of any file, and bytes of the file for each further member
BROKEN = (
    tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RecursionError,
    ValueError, TypeError, LookupError, ArithmeticError, struct.error,
)  # fmt: skip  # raised by tarfile and the decompressors on broken archives, besides OSError

_EXTENSIONS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class _Member(tarfile.TarInfo):
    """A member, which is refused before it is read if its headers are forged."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in _EXTENSIONS and member.size > LARGEST_EXTENSION):
            raise tarfile.ReadError(f"one of its headers claims {member.size:,} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"{member.name[:100]!r} is a sparse file, which no data set needs")
        return member

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        assert isinstance(archive, _Archive)
        with archive.one_header_more():
            return super().fromtarfile(archive)


class _Archive(tarfile.TarFile):
    """An archive whose headers and members are counted as they are read."""

    tarinfo = _Member
    most_members = FREE_MEMBERS
    _headers = _met = 0

    @contextlib.contextmanager
    def one_header_more(self) -> Iterator[None]:
        """Count a header that belongs to the next member, while it is read."""
        self._headers += 1
        try:
            if self._headers > EXTENSIONS_OF_A_MEMBER:
                raise tarfile.ReadError("too many headers before a member")
            yield
        finally:
            self._headers -= 1

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member, or None at the end."""
        if self._met > self.most_members:
            raise tarfile.ReadError(f"more than {self.most_members:,} members, far more than a file of its size holds")
        member = super().next()
        if member is not None:
            self._met += 1
            # sparse maps and sizes come from headers, which can be forged
            if member.size < 0 or member.issparse():
                raise tarfile.ReadError(f"{member.name[:100]!r} is a sparse file or has an impossible size")
            if "\0" in member.name:
                raise tarfile.ReadError("a name in it contains a zero byte")
        return member


class _Bounded(io.RawIOBase):
    """An unpacked stream that raises an error if it becomes too large."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._most, self._place = stream, most, 0

    def _require(self, place: int) -> None:
        if place > self._most:
            raise tarfile.ReadError(f"unpacks to more than {self._most:,} bytes, far more than a file of its size")

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, or fewer at the end."""
        if size < 0 or self._place + size > self._most:
            size = self._most + 1 - self._place
        data = self._stream.read(size)
        self._place += len(data)
        self._require(self._place)
        return data

    def tell(self) -> int:
        """Return the position."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, counted from the beginning or from the current position."""
        place = offset + (self._place if whence == os.SEEK_CUR else 0)
        self._require(place)
        self._place = self._stream.seek(place)
        return self._place

    def close(self) -> None:
        """Close the underlying stream."""
        self._stream.close()
        super().close()


@contextlib.contextmanager
def open_tar(path: str | Path, packed: bool = True) -> Iterator[tarfile.TarFile]:
    """Open a tar file, plain or compressed with gzip, bzip2 or xz, for sequential reading.

    Args:
        path: the file.
        packed: whether it may be compressed.

    Raises:
        tarfile.ReadError, or another of BROKEN, also while it is read: it is not a tar, is broken, or claims or unpacks
            to far more than its size allows.
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(6)
        file.seek(0)
        opener: Any = next((opener for sign, opener in _PACKED.items() if head.startswith(sign)), None)
        stream: Any = file
        if opener is not None and packed:
            stream = _Bounded(opener(file), FREE_BYTES + BYTES_A_BYTE * size)
        with stream, _Archive(fileobj=stream, mode="r") as archive:
            archive.most_members = FREE_MEMBERS + size // BYTES_A_MEMBER
            yield archive


def require_end(archive: tarfile.TarFile) -> None:
    """Refuse a tar, read to its last member, without a proper end: tarfile treats a truncated header as the end.

    Raises:
        tarfile.ReadError: the archive is truncated.
    """
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is truncated")


def fault_of(error: BaseException) -> str:
    """Return what is wrong with an archive, in a few words."""
    if isinstance(error, RecursionError):
        return "too many headers before a member"
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(":")
