"""Read and replace the XMP packet of JPEG, PNG and WebP files; all other bytes stay unchanged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from captioner.writers.metadata.xmp import DamagedError

LARGEST_PACKET = 2**24  # bytes of an unpacked compressed packet


class Piece(NamedTuple):
    """A segment or chunk of a file.

    Attributes:
        kind: its marker or name.
        begin, end: its offsets in the file.
        data: its content.
    """

    kind: bytes
    begin: int
    end: int
    data: bytes


class Container(NamedTuple):
    """Functions for the XMP of a file format.

    Attributes:
        name: name of the format.
        read: file -> its packet, or None.
        write: file, packet -> the file with that packet.
    """

    name: str
    read: Callable[[bytes], bytes | None]
    write: Callable[[bytes, bytes], bytes]


def container_of(file: bytes) -> Container | None:
    """Return the functions for a picture's format, detected from its content; None if it is not supported."""
    if file.startswith(b"\xff\xd8\xff"):
        return Container("JPEG", read_jpeg, write_jpeg)
    if file.startswith(PNG_SIGNATURE):
        return Container("PNG", read_png, write_png)
    if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        return Container("WebP", read_webp, write_webp)
    return None


# JPEG: the packet is a separate APP1 segment (XMP Specification Part 3, 1.1.3).

JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
JPEG_EXIF = b"Exif\0"
LARGEST_SEGMENT = 65533  # bytes after the length
_APP0, _APP1, _APP2, _SCAN, _END = b"\xff\xe0", b"\xff\xe1", b"\xff\xe2", b"\xff\xda", b"\xff\xd9"


def read_jpeg(file: bytes) -> bytes | None:
    """Return a JPEG's packet. Raises DamagedError if its segments are broken."""
    for piece in jpeg_segments(file):
        if piece.kind == _APP1 and piece.data.startswith(JPEG_XMP):
            return piece.data[len(JPEG_XMP) :]
    return None


def write_jpeg(file: bytes, packet: bytes) -> bytes:
    """Return a JPEG with another packet.

    Raises:
        DamagedError: its segments are broken, the packet is too large for a segment, or further pictures after the
            first one would no longer be found.
    """
    data = JPEG_XMP + packet
    if len(data) > LARGEST_SEGMENT:
        raise DamagedError(f"its XMP would have {len(data):,} bytes, too many for a JPEG; write a sidecar")
    segment = _APP1 + struct.pack(">H", len(data) + 2) + data
    place, several = 2, False
    for piece in jpeg_segments(file):
        if piece.kind == _APP1 and piece.data.startswith(JPEG_XMP):
            if several and piece.end - piece.begin != len(segment):
                raise DamagedError("changing its XMP would move its further pictures (MPF), which would not be found")
            return file[: piece.begin] + segment + file[piece.end :]
        several = several or (piece.kind == _APP2 and piece.data.startswith(b"MPF\0"))
        if piece.kind == _APP0 or (piece.kind == _APP1 and piece.data.startswith(JPEG_EXIF)):
            place = piece.end if not several else place
    return file[:place] + segment + file[place:]


def jpeg_segments(file: bytes) -> Iterator[Piece]:
    """Yield a JPEG's segments before the picture's data. Raises DamagedError if they are broken."""
    place = 2
    while True:
        begin = place
        if file[place : place + 1] != b"\xff":
            raise DamagedError("its JPEG segments are damaged")
        while file[place + 1 : place + 2] == b"\xff":  # fill bytes
            place += 1
        kind = file[place : place + 2]
        if kind in (_SCAN, _END):
            return
        if len(file) < place + 4:
            raise DamagedError("it ends before its picture begins")
        (length,) = struct.unpack(">H", file[place + 2 : place + 4])
        end = place + 2 + length
        if length < 2 or end > len(file):
            raise DamagedError("its JPEG segments are damaged")
        yield Piece(kind, begin, end, file[place + 4 : end])
        place = end


# PNG: an iTXt chunk with a special keyword (XMP Specification Part 3, 1.1.5; PNG 11.3.3.4).

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_XMP = b"XML:com.adobe.xmp\0"


def read_png(file: bytes) -> bytes | None:
    """Return a PNG's packet. Raises DamagedError if its chunks are broken."""
    for piece in png_chunks(file):
        if piece.kind == b"iTXt" and piece.data.startswith(PNG_XMP):
            return _from_itxt(piece.data)
    return None


def write_png(file: bytes, packet: bytes) -> bytes:
    """Return a PNG with another packet. Raises DamagedError if its chunks are broken."""
    body = b"iTXt" + PNG_XMP + b"\0\0\0\0" + packet  # not compressed; no language, no translated keyword
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    place = None
    for piece in png_chunks(file):
        if piece.kind == b"iTXt" and piece.data.startswith(PNG_XMP):
            return file[: piece.begin] + chunk + file[piece.end :]
        if piece.kind == b"IHDR":
            place = piece.end
    if place is None:
        raise DamagedError("its PNG has no header")
    return file[:place] + chunk + file[place:]


def _from_itxt(data: bytes) -> bytes:
    rest = data[len(PNG_XMP) :]
    compressed, method, texts = rest[:1], rest[1:2], rest[2:].split(b"\0", 2)
    if len(texts) < 3 or (compressed == b"\1" and method != b"\0"):
        raise DamagedError("its XMP chunk is damaged")
    if compressed != b"\1":
        return texts[2]
    try:
        unpacker = zlib.decompressobj()
        packet = unpacker.decompress(texts[2], LARGEST_PACKET)
    except zlib.error:
        raise DamagedError("its XMP chunk is damaged") from None
    if not unpacker.eof:
        raise DamagedError("its XMP chunk is truncated, or far too large")
    return packet


def png_chunks(file: bytes) -> Iterator[Piece]:
    """Yield a PNG's chunks. Raises DamagedError if they are broken."""
    place = len(PNG_SIGNATURE)
    while True:
        if len(file) < place + 12:
            raise DamagedError("its PNG chunks are damaged")
        length, kind = struct.unpack(">I4s", file[place : place + 8])
        end = place + 12 + length
        if end > len(file):
            raise DamagedError("its PNG chunks are damaged")
        data = file[place + 8 : end - 4]
        if kind != b"IDAT" and zlib.crc32(kind + data) != struct.unpack(">I", file[end - 4 : end])[0]:
            raise DamagedError(f"its PNG chunk {kind.decode('latin-1')} is damaged")
        yield Piece(kind, place, end, data)
        if kind == b"IEND":
            return
        place = end


# WebP: a chunk "XMP " at the end, announced by a flag in the chunk VP8X (RFC 9649, 2.7).

_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10


def read_webp(file: bytes) -> bytes | None:
    """Return a WebP's packet. Raises DamagedError if its chunks are broken."""
    for piece in webp_chunks(file):
        if piece.kind == b"XMP ":
            return piece.data
    return None


def write_webp(file: bytes, packet: bytes) -> bytes:
    """Return a WebP with another packet. Raises DamagedError if its chunks are broken."""
    pieces = list(webp_chunks(file))
    if not pieces:
        raise DamagedError("its WebP contains no picture")
    chunks = [_even(file[piece.begin : piece.end]) for piece in pieces]
    if pieces[0].kind == b"VP8X":
        header = bytearray(chunks[0])
        header[8] |= _XMP_FLAG
        chunks[0] = bytes(header)
    else:
        chunks.insert(0, _extended_header(pieces[0]))
        pieces.insert(0, pieces[0])
    chunk = _riff(b"XMP ", packet)
    at = next((index for index, piece in enumerate(pieces) if piece.kind == b"XMP "), None)
    if at is None:
        chunks.append(chunk)
    else:
        chunks[at] = chunk
    body = b"WEBP" + b"".join(chunks)
    (size,) = struct.unpack("<I", file[4:8])
    behind = file[8 + size + size % 2 :]
    return b"RIFF" + struct.pack("<I", len(body)) + body + behind


def _riff(kind: bytes, data: bytes) -> bytes:
    return _even(kind + struct.pack("<I", len(data)) + data)


def _even(chunk: bytes) -> bytes:
    return chunk + b"\0" * (len(chunk) % 2)


def _extended_header(picture: Piece) -> bytes:
    """Return the chunk VP8X for a file that contains only a picture."""
    data, flags = picture.data, _XMP_FLAG
    if picture.kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a" and len(data) >= 10:
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", data[6:10]))
    elif picture.kind == b"VP8L" and data[:1] == b"\x2f" and len(data) >= 5:
        (bits,) = struct.unpack("<I", data[1:5])
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags |= _ALPHA_FLAG if bits >> 28 & 1 else 0
    else:
        raise DamagedError("its WebP header is damaged")
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _riff(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


def webp_chunks(file: bytes) -> Iterator[Piece]:
    """Yield a WebP's chunks. Raises DamagedError if they are broken."""
    (size,) = struct.unpack("<I", file[4:8])
    whole = 8 + size
    if whole > len(file):
        raise DamagedError("its WebP is truncated")
    place = 12
    while place + 8 <= whole:
        kind, length = struct.unpack("<4sI", file[place : place + 8])
        end = place + 8 + length
        if end > whole:
            raise DamagedError("its WebP chunks are damaged")
        yield Piece(kind, place, min(end + length % 2, len(file)), file[place + 8 : end])
        place = end + length % 2
