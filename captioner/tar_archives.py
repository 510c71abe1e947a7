"""Tar archives from any source, read within bounds: neither a header's claim nor the content may take gigabytes."""

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

EXTENSIONS_OF_A_MEMBER = 8  # headers before a member that give it a long name or say more of it
LARGEST_EXTENSION = 2**16  # bytes of such a header
FREE_BYTES, BYTES_A_BYTE = 2**28, 32  # that may be unpacked: of any file, and for each of its bytes
FREE_MEMBERS, BYTES_A_MEMBER = 10_000, 20  # members that any file may have, and bytes that one more needs
BROKEN = (
    tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RecursionError,
    ValueError, TypeError, LookupError, ArithmeticError, struct.error,
)  # fmt: skip  # what tarfile and the packers raise on broken archives, OSError besides

_EXTENSIONS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class _Member(tarfile.TarInfo):
    """A member, refused before what its headers claim is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in _EXTENSIONS and member.size > LARGEST_EXTENSION):
            raise tarfile.ReadError(f"a header of it claims {member.size:,} bytes")
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
            # sparse maps and sizes come from headers that anybody writes
            if member.size < 0 or member.issparse():
                raise tarfile.ReadError(f"{member.name[:100]!r} is a sparse file or has an impossible size")
            if "\0" in member.name:
                raise tarfile.ReadError("a name in it holds a zero byte")
        return member


class _Bounded(io.RawIOBase):
    """An unpacked stream that ends badly where it grows beyond all reason."""

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
        """Return `size` bytes, fewer at the end."""
        if size < 0 or self._place + size > self._most:
            size = self._most + 1 - self._place
        data = self._stream.read(size)
        self._place += len(data)
        self._require(self._place)
        return data

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the beginning or from here."""
        place = offset + (self._place if whence == os.SEEK_CUR else 0)
        self._require(place)
        self._place = self._stream.seek(place)
        return self._place

    def close(self) -> None:
        """Close the stream beneath."""
        self._stream.close()
        super().close()


@contextlib.contextmanager
def open_tar(path: str | Path, packed: bool = True) -> Iterator[tarfile.TarFile]:
    """Open a tar, packed by gzip, bzip2 or xz or not at all, for reading from its first member to its last.

    Args:
        path: the file.
        packed: whether it may be packed.

    Raises:
        tarfile.ReadError, or another of BROKEN, also while it is read: it is no tar, is broken, or claims or unpacks to
            far more than a file of its size holds.
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
    """Refuse a tar, read to its last member, that does not end as a tar ends: tarfile takes a cut header for the end.

    Raises:
        tarfile.ReadError: it breaks off.
    """
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it breaks off")


def fault_of(error: BaseException) -> str:
    """Return the fault of an archive, in a few words."""
    if isinstance(error, RecursionError):
        return "too many headers before a member"
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(":")
