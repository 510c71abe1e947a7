"""How bytes become text and text bytes: one reading of every text file, one escape of what cannot be encoded."""

from __future__ import annotations

import codecs
import sys
from typing import TextIO, cast
from urllib.parse import quote

ESCAPE = "captioner.percent"  # the name of the error handler below, for `str.encode` and streams

# A mark of UTF-32 begins as one of UTF-16 does, so it is looked for first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PROBED = 4096  # bytes that are looked at for UTF-16 without a mark


def find_encoding(data: bytes | bytearray) -> tuple[str, int]:
    """Return in which encoding a text file is, and how many bytes its byte-order mark takes.

    UTF-8 unless a mark says otherwise, or every second byte of what comes first is zero: UTF-16 without a mark.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name, len(mark)
    probe = data[: min(_PROBED, len(data) // 2 * 2)]
    even, odd = probe[::2].count(0), probe[1::2].count(0)
    if odd > len(probe) * 0.2 and not even:
        return "utf-16-le", 0
    if even > len(probe) * 0.2 and not odd:
        return "utf-16-be", 0
    return "utf-8", 0


def decode(data: bytes | bytearray, errors: str = "strict") -> str:
    r"""Return a text file's content with `\n` at its lines' ends, whichever it has (`\r\n` and `\r` too).

    A byte-order mark is passed over, at the beginning of a line too, where files were put together.

    Raises:
        UnicodeDecodeError: it is not in the encoding that `find_encoding` tells.
    """
    encoding, start = find_encoding(data)
    text = data[start:].decode(encoding, errors)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n\ufeff", "\n") if "\ufeff" in text else text


def encode(text: str) -> bytes:
    """Return text in UTF-8; what no encoding has is escaped as `escape` does."""
    return text.encode("utf-8", ESCAPE)


def escape(text: str) -> str:
    """Return text in which all can be encoded: a byte of a file name that is not UTF-8 becomes `%E9`."""
    return text if text.isascii() else encode(text).decode()


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_percent, error.object[error.start : error.end])), error.end


def _percent(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # how Python holds a byte of a file name that is not UTF-8
        return f"%{ord(sign) - 0xDC00:02X}"
    return "?" if "\ud800" <= sign <= "\udfff" else quote(sign, safe="")  # half a pair is no character


codecs.register_error(ESCAPE, _escaped)


def escape_streams() -> None:
    """Let stdout and stderr escape what their encoding lacks, so that a name can never end a command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # click writes UTF-8 where ASCII is asked for, and would put question marks for what cannot be encoded
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            cast("TextIO", stream).reconfigure(encoding="utf-8" if is_ascii else None, errors=ESCAPE)  # type: ignore[attr-defined]


def takes_all(stream: TextIO) -> bool:
    """Tell whether a stream can encode every letter, so that JSON on it needs no escapes of its own."""
    return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")
