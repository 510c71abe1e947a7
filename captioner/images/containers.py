"""Removes everything but the pixels from a JPEG or a PNG before it is decoded.

So a wrong checksum in a text, a huge colour profile or a broken thumbnail does not make a picture unreadable. A wrong
checksum of the pixels does; decoders ignore it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT = 2**20  # bytes of an unpacked text in which the orientation is looked for

_FREE_PARTS, _BYTES_A_PART = 10_000, 1000  # chunks or segments of any file, and bytes that one more needs
_LONGEST_HEAD = 2**16

_ORIENTATION_TAG = 0x0112
_SHORT = 3
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_PNG_ABOUT = frozenset(
    b"tEXt zTXt iTXt iCCP eXIf tIME pHYs gAMA cHRM sRGB sBIT bKGD hIST sPLT acTL fcTL fdAT dSIG oFFs pCAL sCAL sTER "
    b"cICP mDCv mDCV cLLi cLLI caBX iDOT vpAg gIFg gIFx gIFt zxIf npTc npLb".split()
)
_PALETTE_COLOURS = 3

_SOI, _EOI, _SOS, _DNL = 0xD8, 0xD9, 0xDA, 0xDC
_EXIF, _ABOUT_LAST = 0xE1, 0xEF
_KEPT_ABOUT = (0xE0, 0xEE)  # JFIF and Adobe say what colours mean
_COMMENT = 0xFE
_COEFFICIENTS = 64  # of a block
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)


@dataclass(frozen=True)
class Bare:
    """A picture's file without its metadata.

    Attributes:
        data: the file.
        orientation: 1 to 8, as EXIF counts.
        scans: how many times a JPEG goes over the picture.
        progressive: whether a JPEG keeps all its coefficients until the end.
    """

    data: bytes
    orientation: int = 1
    scans: int = 1
    progressive: bool = False


def _require_few(parts: int, data: bytes) -> None:
    """Refuse a file with so many parts that reading takes far longer than its size suggests. Raises ValueError."""
    if parts > _FREE_PARTS + len(data) // _BYTES_A_PART:
        raise ValueError("far more parts than pictures have; it may be hostile")


def require_short_head(data: bytes) -> None:
    """Refuse a PPM whose header comes only after a huge comment. Raises ValueError."""
    if len(re.sub(rb"#[^\r\n]*", b"", data[:_LONGEST_HEAD]).split()) < 3 and len(data) > _LONGEST_HEAD:
        raise ValueError("it has no size near its beginning")


def require_plain_gif(data: bytes) -> None:
    """Refuse a GIF with unusually many comments and other blocks before its first frame.

    Raises:
        ValueError: it has too many blocks.
    """
    place, parts = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0), 0
    while data[place : place + 1] == b"!":
        place += 2
        while place < len(data) and data[place]:
            place, parts = place + data[place] + 1, parts + 1
        place, parts = place + 1, parts + 1
        _require_few(parts, data)


def bare_png(data: bytes) -> Bare:
    """Return a PNG with only its first picture.

    Raises:
        ValueError: the pixels, the palette or the transparency have a wrong checksum or are truncated; or it has far
            too many parts.
    """
    kept, orientation, found = [PNG_SIGNATURE], 0, set()
    for parts, (kind, start, end, whole) in enumerate(_chunks(data)):
        _require_few(parts, data)
        right = whole and zlib.crc32(memoryview(data)[start - 4 : end]) == struct.unpack_from(">I", data, end)[0]
        if kind in _PNG_PIXELS:
            if not right:
                raise ValueError(
                    f"its part {kind.decode()} breaks off" if not whole else "wrong checksum of its pixels"
                )
            kept.append(data[start - 8 : end + 4])
            found.add(kind)
        elif right and not orientation:
            orientation = _png_orientation(kind, data[start:end])
        elif not right and kind not in _PNG_ABOUT and whole:
            raise ValueError(f"wrong checksum of its part {kind.decode('ascii', 'backslashreplace')}")
    if b"IHDR" not in found or b"IDAT" not in found:
        raise ValueError("it has no pixels")
    if data[25:26] == bytes([_PALETTE_COLOURS]) and b"PLTE" not in found:
        raise ValueError("it has no palette")
    kept.append(b"\0\0\0\0IEND\xaeB`\x82")
    return Bare(b"".join(kept), orientation or 1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Yield each chunk's kind, the start and end of its content, and whether it is complete."""
    place = len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, place), data[place + 4 : place + 8]
        if kind == b"IEND":
            return
        if not kind.isalpha():
            raise ValueError("its parts do not follow one another")
        start, end = place + 8, place + 8 + length
        yield kind, start, min(end, len(data)), end + 4 <= len(data)
        place = end + 4


def _png_orientation(kind: bytes, content: bytes) -> int:
    if kind == b"eXIf":
        return exif_orientation(content)
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return 0
    name, _, rest = content.partition(b"\0")
    try:
        if kind == b"zTXt":
            rest = zlib.decompressobj().decompress(rest[1:], MAX_TEXT)
        elif kind == b"iTXt":
            packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[2]
            rest = zlib.decompressobj().decompress(rest, MAX_TEXT) if packed else rest
        if name == b"Raw profile type exif":  # ImageMagick's: a head of two lines, then hexadecimal digits
            return exif_orientation(bytes.fromhex("".join(rest[:MAX_TEXT].decode("ascii").split("\n")[3:])))
    except (zlib.error, ValueError, IndexError):
        return 0
    return _xmp_orientation(rest) if name == b"XML:com.adobe.xmp" else 0


def _odd_jpeg(data: bytes) -> Bare:
    """Return a JPEG unchanged, with the largest number of scans that a decoder may find in it."""
    progressive = any(b"\xff" + bytes([marker]) in data for marker in _PROGRESSIVE)
    return Bare(data, 1, max(1, data.count(b"\xff\xda")), progressive)


def bare_jpeg(data: bytes) -> Bare:
    """Return a JPEG without EXIF, colour profile, thumbnails and comments; unchanged if its structure is unusual.

    Raises:
        ValueError: it has far too many parts.
    """
    place, kept, exif, xmp, progressive, parts = 2, [data[:2]], 0, 0, False, 0
    while place + 4 <= len(data):
        start, parts = place, parts + 1
        _require_few(parts, data)
        while place < len(data) and data[place] == 0xFF:
            place += 1
        if place == start or place >= len(data):
            return _odd_jpeg(data)
        marker, place = data[place], place + 1
        if marker == _SOS:
            kept.append(data[start:])
            # in the pixels 0xFF is always followed by 0 or by a marker of its own
            return Bare(b"".join(kept), exif or xmp or 1, kept[-1].count(b"\xff\xda"), progressive)
        if marker in (_SOI, _EOI) or place + 2 > len(data):
            return _odd_jpeg(data)
        end = place + struct.unpack_from(">H", data, place)[0]
        if end > len(data) or end < place + 2:
            return _odd_jpeg(data)
        progressive |= marker in _PROGRESSIVE
        if marker == _EXIF:
            content = data[place + 2 : end]
            exif, xmp = exif or exif_orientation(content), xmp or _xmp_orientation(content)
        if marker in _KEPT_ABOUT or not (_KEPT_ABOUT[0] <= marker <= _ABOUT_LAST or marker == _COMMENT):
            kept.append(data[start:end])
        place = end
    return _odd_jpeg(data)


def has_all_scans(data: bytes) -> bool:
    """Return whether the headers of a JPEG's scans cover every bit of every coefficient of every component."""
    frame = re.search(rb"\xff[\xc0-\xc2\xc9\xca]..\x08....([\x01-\x04])", data, re.DOTALL)
    if frame is None:
        return False
    given: dict[int, set[int]] = {}  # component -> its coefficients that are there to the last bit
    for place in (found.end() for found in re.finditer(rb"\xff\xda", data)):
        count = data[place + 2] if place + 2 < len(data) else 0
        header = data[place + 3 : place + 6 + 2 * count]
        if len(header) != 2 * count + 3:
            return False
        first, last, bits = header[-3:]
        for component in header[: 2 * count : 2]:
            given.setdefault(component, set()).update(range(first, last + 1) if not bits & 15 else ())
    return len(given) == frame[1][0] and all(len(found) == _COEFFICIENTS for found in given.values())


def exif_orientation(content: bytes) -> int:
    """Return the orientation in EXIF data, 0 if there is none or the data are broken."""
    content = content.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return 0
    try:
        (place,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, place)
        for entry in range(min(count, 1000)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", content, place + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else 0
    except struct.error:
        return 0
    return 0


def _xmp_orientation(content: bytes) -> int:
    found = _XMP_ORIENTATION.search(content[:MAX_TEXT])
    return int(found[1]) if found else 0
