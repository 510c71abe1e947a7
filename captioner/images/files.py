"""Reads picture files as bytes: checks that they are regular files, not too large, and of a known kind."""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path

from captioner.storage import DataError

MAX_BYTES = 2**30  # largest size of a picture's file, which is read whole
HEAD_BYTES = 32  # first bytes, which identify the kind


class NotAPictureError(DataError):
    """The bytes are not a picture of a readable kind."""


READABLE = "JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF, JPEG 2000, PPM, QOI, SGI, PCX or PSD"

# first bytes -> Pillow's name of the kind
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"qoif": "QOI",
    b"\x01\xda": "SGI",
    b"8BPS": "PSD",
    **{b"\x0a" + bytes([version]): "PCX" for version in (0, 2, 3, 5)},
    **{b"P" + bytes([digit]) + space: "PPM" for digit in b"123456fy" for space in (b"\n", b" ", b"\t", b"\r")},
}
_AVIF = frozenset([b"avif", b"avis"])
_ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"7z\xbc\xaf", b"\xfd7zXZ")
_HEIC = frozenset([b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"])
_EITHER = frozenset([b"mif1", b"msf1"])  # the container of both; the brands behind it say which it is


def kind_of(head: bytes) -> str | None:
    """Return Pillow's name of the kind of picture that begins with `head` (`HEAD_BYTES` are enough), or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _kind_of_brands(head)
    return next((kind for beginning, kind in _BEGINNINGS.items() if head.startswith(beginning)), None)


def _kind_of_brands(head: bytes) -> str | None:
    """Return the kind from the brands of an ISO media file: the major brand, or else the compatible brands."""
    major, end = head[8:12], min(int.from_bytes(head[:4]), HEAD_BYTES)
    others = {head[place : place + 4] for place in range(16, end, 4)} if major in _EITHER else set()
    if major in _HEIC or (others & _HEIC and not others & _AVIF):
        return "HEIC"
    return "AVIF" if major in _AVIF | _EITHER else None


def require_kind(head: bytes, name: str) -> str:
    """Return the result of `kind_of`.

    Raises:
        NotAPictureError: it is not a picture, or of a kind that cannot be decoded.
    """
    kind = kind_of(head)
    if kind == "HEIC":
        if not can_read_heif():
            raise NotAPictureError(
                f"{name}: a HEIC picture; pip install 'captioner[heif]', or convert it to JPEG or PNG"
            )
        return "HEIF"
    if kind is None:
        if head.startswith(_ARCHIVES) or name.lower().endswith(".tar"):
            raise NotAPictureError(f"{name}: an archive, not a picture; unpack it and name its folder")
        raise NotAPictureError(
            f"{name}: {'not a picture that can be read' if head else 'empty'} ({READABLE} is needed)"
        )
    return kind


@functools.cache
def can_read_heif() -> bool:
    """Register HEIC in Pillow if pillow-heif is installed; return whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def read_picture(path: Path) -> tuple[bytes, os.stat_result]:
    """Return a picture file's content and status. Reading stops after the first bytes if it is not a picture.

    Raises:
        DataError: missing, not a regular file (reading a pipe could block forever), too large, or not a picture.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{path}: not a regular file; name a picture's file")
            if status.st_size > MAX_BYTES:
                raise DataError(
                    f"{path}: has {status.st_size / 2**30:.1f} GiB, too much for a picture; shrink it first"
                )
            head = file.read(HEAD_BYTES)
            require_kind(head, str(path))
            return head + file.read(status.st_size - len(head)), status
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, not a picture") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # otherwise opening a pipe would block
