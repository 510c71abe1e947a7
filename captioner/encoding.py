"""Convert between bytes and text: decode every text file in one way, and escape what cannot be encoded."""

from __future__ import annotations

import codecs
import sys
from typing import TextIO, cast
from urllib.parse import quote

ESCAPE = "captioner.percent"  # the name of the error handler below, for `str.encode` and streams

# UTF-32's mark begins with the same bytes as UTF-16's, so it comes first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PROBED = 4096  # bytes that are checked for UTF-16 without a mark


def find_encoding(data: bytes | bytearray) -> tuple[str, int]:
    """Return the encoding of a text file and the length of its byte-order mark in bytes.

    The encoding is UTF-8 unless a mark says otherwise, or many of the first bytes at even or odd positions are zero,
    which means UTF-16 without a mark.
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
    r"""Return a text file's content with all line ends (`\n`, `\r\n` or `\r`) as `\n`.

    Byte-order marks are skipped, also at the beginning of a line, where files were concatenated.

    Raises:
        UnicodeDecodeError: the data is not in the encoding that `find_encoding` returns.
    """
    encoding, start = find_encoding(data)
    text = data[start:].decode(encoding, errors)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n\ufeff", "\n") if "\ufeff" in text else text


def encode(text: str) -> bytes:
    """Return text in UTF-8; surrogates are escaped as in `escape`."""
    return text.encode("utf-8", ESCAPE)


def escape(text: str) -> str:
    """Return text without surrogates: a byte of a file name that is not UTF-8 becomes `%E9`, for example."""
    return text if text.isascii() else encode(text).decode()


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_percent, error.object[error.start : error.end])), error.end


def _percent(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # how Python represents a byte of a file name that is not UTF-8
        return f"%{ord(sign) - 0xDC00:02X}"
    return "?" if "\ud800" <= sign <= "\udfff" else quote(sign, safe="")  # an unpaired surrogate is not a character


codecs.register_error(ESCAPE, _escaped)


def escape_streams() -> None:
    """Let stdout and stderr escape characters that they cannot encode, so that a name never aborts a command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # For ASCII, click would write UTF-8, with question marks for what cannot be encoded.
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            cast("TextIO", stream).reconfigure(encoding="utf-8" if is_ascii else None, errors=ESCAPE)  # type: ignore[attr-defined]


def takes_all(stream: TextIO) -> bool:
    """Tell whether a stream can encode every character, so that JSON needs no escapes."""
    return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")
