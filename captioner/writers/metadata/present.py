"""Find the existing descriptions in a picture: in XMP, Exif and IPTC."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from PIL import Image

from captioner.writers.metadata.containers import JPEG_EXIF, container_of, jpeg_segments, png_chunks, webp_chunks
from captioner.writers.metadata.xmp import ALT_TEXT, DESCRIPTION, get_text

IMAGE_DESCRIPTION = 0x010E  # of Exif
CAPTION = (2, 120)  # Caption-Abstract of IPTC's Information Interchange Model 4.2
_APP1, _APP13 = b"\xff\xe1", b"\xff\xed"
_PHOTOSHOP, _RESOURCE, _IPTC = b"Photoshop 3.0\0", b"8BIM", 0x0404

# Texts that cameras and programs write into every picture; they do not describe the picture.
_DEFAULT = re.compile(
    r"((olympus|(konica )?minolta|kodak|samsung|pentax|nikon|fujifilm|casio|ricoh|vivitar|polaroid|hp)?\s*digital "
    r"(still )?camera|sony dsc|minolta dsc|samsung( camera pictures)?|exif[_ ]jpeg[_ ]picture|jpeg image|default|"
    r"binary comment|applemark|screenshot|untitled|dcim\\.*)",
    re.IGNORECASE,
)


def present_texts(file: bytes) -> list[str]:
    """Return the descriptions in a JPEG, PNG or WebP, without texts that a camera writes into every picture.

    Exif and IPTC data that cannot be read are ignored; they are not changed, either.

    Raises:
        DamagedError: the file's own structure, or its XMP, cannot be read.
    """
    container = container_of(file)
    if container is None:
        return []
    packet = container.read(file)
    found = [] if packet is None else [get_text(packet, name) for name in (DESCRIPTION, ALT_TEXT)]
    found += [_image_description(data) for data in _exif_blocks(file, container.name)]
    if container.name == "JPEG":
        found.append(_iptc_caption(file))
    return [text for text in found if text]


def _exif_blocks(file: bytes, name: str) -> Iterator[bytes]:
    if name == "JPEG":
        for piece in jpeg_segments(file):
            if piece.kind == _APP1 and piece.data.startswith(JPEG_EXIF):
                yield piece.data
    else:
        for piece in png_chunks(file) if name == "PNG" else webp_chunks(file):
            if piece.kind in (b"eXIf", b"EXIF"):
                yield piece.data


def _image_description(data: bytes) -> str:
    exif = Image.Exif()
    try:
        exif.load(data if data.startswith(JPEG_EXIF) else JPEG_EXIF + b"\0" + data)
        text = exif.get(IMAGE_DESCRIPTION, "")
    except Exception:  # Pillow can raise any error on damaged data
        return ""
    text = (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).strip(" \t\r\n\0")
    return "" if _DEFAULT.fullmatch(text) else text


def _iptc_caption(file: bytes) -> str:
    """Return a JPEG's Caption-Abstract from Photoshop's resources, which may span several segments."""
    pieces = [piece.data for piece in jpeg_segments(file) if piece.kind == _APP13]
    data = b"".join(piece[len(_PHOTOSHOP) :] for piece in pieces if piece.startswith(_PHOTOSHOP))
    place = 0
    while data[place : place + 4] == _RESOURCE and len(data) > place + 6:
        (kind,) = struct.unpack(">H", data[place + 4 : place + 6])
        name = 1 + data[place + 6]
        begin = place + 6 + name + name % 2 + 4
        size = int.from_bytes(data[begin - 4 : begin], "big")
        if kind == _IPTC and (text := _dataset(data[begin : begin + size])):
            return text
        place = begin + size + size % 2
    return ""


def _dataset(data: bytes) -> str:
    place = 0
    while data[place : place + 1] == b"\x1c" and len(data) >= place + 5:
        record, number, size = struct.unpack(">BBH", data[place + 1 : place + 5])
        if size & 0x8000:  # an extended length, which captions do not have
            return ""
        text = data[place + 5 : place + 5 + size].decode("utf-8", "replace").strip(" \t\r\n\0")
        if (record, number) == CAPTION and text:
            return text
        place += 5 + size
    return ""
