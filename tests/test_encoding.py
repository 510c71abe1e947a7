import io
import sys

import pytest

from captioner.encoding import decode, encode, escape, escape_streams, find_encoding, takes_all


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_is_read_in_its_encoding_with_line_feeds(encoding: str) -> None:
    text = "image,caption\r\na.jpg,A d\u00f6g\rb.jpg,\u0444\n"
    assert decode(text.encode(encoding)) == "image,caption\na.jpg,A d\u00f6g\nb.jpg,\u0444\n"


def test_short_text_is_utf_8() -> None:
    assert [find_encoding(data) for data in (b"", b"a", b"ab")] == [("utf-8", 0)] * 3
    assert decode(b"") == ""


def test_what_no_encoding_has_is_escaped_once() -> None:
    assert escape("caf\u00e9 \udce9t\udce9 \ud83d") == "caf\u00e9 %E9t%E9 ?"
    assert encode("\udcff") == b"%FF"
    assert escape("%E9") == "%E9"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "\u0444\u00e9 %E9".encode()),
        ("cp1252", b"%D1%84\xe9 %E9"),
        ("latin-1", b"%D1%84\xe9 %E9"),
        ("ascii", "\u0444\u00e9 %E9".encode()),
    ],
)
def test_streams_escape_what_they_cannot_say(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: bytes) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    assert takes_all(stream) == (encoding == "utf-8")
    escape_streams()
    print("\u0444\u00e9 \udce9", end="", flush=True)
    assert written.getvalue() == shown
