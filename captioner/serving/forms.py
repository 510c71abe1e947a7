"""Read the pictures and options of a request from a form, JSON, or a bare picture."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from captioner.serving.refusal import RefusalError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PICTURE_FIELDS = ("file", "image", "picture", "photo", "files", "images", "pictures", "photos")
MOST_PARTS = 256

Fields = dict[str, Any]


class Upload(NamedTuple):
    """An uploaded picture: its name from the client, and its bytes or the error of reading them."""

    name: str | None
    data: bytes | RefusalError


class RequestForm(NamedTuple):
    """A request's pictures, and its other fields."""

    uploads: list[Upload]
    fields: Fields


def parse_body(content_type: str, body: bytes) -> RequestForm:
    """Return the content of a body according to its content type.

    multipart/form-data and application/x-www-form-urlencoded contain pictures in fields such as `file` or `image`, as
    a file or in base64. JSON contains them in base64. A body of an image or binary type is a picture.

    Raises:
        RefusalError: the content type cannot contain pictures (415), or the body is malformed (400).
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return _multipart(body, options.get(b"boundary", b""))
    if kind == b"application/x-www-form-urlencoded":
        return _urlencoded(body)
    if kind == b"application/json" or kind.endswith(b"+json"):
        return _from_json(parse_json(body))
    if kind in (b"", b"application/octet-stream", b"binary/octet-stream") or kind.startswith(b"image/"):
        return RequestForm([Upload(None, body)] if body else [], {})
    shown = kind.decode("latin-1")[:60]
    raise RefusalError(415, f"content type {shown!r} is not supported; send a form, JSON, or the picture itself")


def parse_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        RefusalError: the body is not a JSON object (400).
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusalError(400, "the body is not valid JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise RefusalError(400, "the body is JSON but not an object; send {...}")
    return content


def decode_base64(text: Any) -> bytes:
    """Return the bytes of a base64 text, which may be a data: URL.

    Raises:
        RefusalError: the text is not base64 (400).
    """
    if not isinstance(text, str):
        raise RefusalError(400, "a picture must be a base64 string")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    text = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise RefusalError(400, "a picture is not valid base64") from None


def _decoded(name: str | None, text: Any) -> Upload:
    try:
        return Upload(name, decode_base64(text))
    except RefusalError as refusal:
        return Upload(name, refusal)


def _from_json(content: dict[str, Any]) -> RequestForm:
    uploads = []
    for field in PICTURE_FIELDS:
        value = content.pop(field, None)
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            if isinstance(one, Mapping):  # {"name": "a.jpg", "data": "..."}
                name = one.get("name")
                uploads.append(_decoded(name if isinstance(name, str) else None, one.get("data")))
            else:
                uploads.append(_decoded(None, one))
    return RequestForm(uploads, content)


def _urlencoded(body: bytes) -> RequestForm:
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=MOST_PARTS, strict_parsing=bool(body))
    except ValueError:
        raise RefusalError(400, "the form is malformed") from None
    # An unescaped plus has become a space; base64 contains no spaces.
    uploads = [_decoded(None, value.replace(" ", "+")) for name, value in pairs if name in PICTURE_FIELDS]
    return RequestForm(uploads, {name: value for name, value in pairs if name not in PICTURE_FIELDS})


class _Parts:
    """Collect the parts of a multipart body in memory, so that nothing from the client is written to disk."""

    def __init__(self) -> None:
        self.parts: list[tuple[dict[bytes, bytes], bytearray]] = []
        self.ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value, self._data = bytearray(), bytearray(), bytearray()

    def on_part_begin(self) -> None:
        self._headers, self._data = {}, bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]

    def on_part_end(self) -> None:
        if len(self.parts) >= MOST_PARTS:
            raise RefusalError(400, f"the form has more than {MOST_PARTS} parts")
        self.parts.append((parse_options_header(self._headers.get(b"content-disposition", b""))[1], self._data))

    def on_end(self) -> None:
        self.ended = True


def _multipart(body: bytes, boundary: bytes) -> RequestForm:
    if not boundary:
        raise RefusalError(400, "the form's content type has no boundary")
    parts = _Parts()
    callbacks: MultipartCallbacks = {
        "on_part_begin": parts.on_part_begin,
        "on_part_data": parts.on_part_data,
        "on_part_end": parts.on_part_end,
        "on_header_field": parts.on_header_field,
        "on_header_value": parts.on_header_value,
        "on_header_end": parts.on_header_end,
        "on_end": parts.on_end,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        parts.ended = False
    if not parts.ended:
        raise RefusalError(400, "the form is malformed or truncated")
    uploads: list[Upload] = []
    fields: Fields = {}
    for options, data in parts.parts:
        name = _text(options.get(b"name", b""))
        if b"filename" in options:
            if data or options[b"filename"]:  # a browser sends an empty part for a file field without a file
                uploads.append(Upload(_text(options[b"filename"]) or None, bytes(data)))
        elif name in PICTURE_FIELDS:
            uploads.append(_decoded(None, _text(bytes(data))))
        else:
            fields[name] = _text(bytes(data))
    return RequestForm(uploads, fields)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
