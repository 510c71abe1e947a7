"""Read and set a picture's description and alt text in an XMP packet; everything else is kept.

The packet is edited in place, not parsed and written again: prefixes, order, comments and the data of other programs
stay byte for byte unchanged. The format follows the XMP Specification, Part 1 (ISO 16684-1:2019), and the IPTC Photo
Metadata Standard 2021.1, which defines AltTextAccessibility.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
DESCRIPTION = ("http://purl.org/dc/elements/1.1/", "description")
ALT_TEXT = ("http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "AltTextAccessibility")
PREFIXES = {DESCRIPTION[0]: "dc", ALT_TEXT[0]: "Iptc4xmpCore"}
DEFAULT_LANGUAGE = "x-default"

Name = tuple[str, str]  # namespace and local name

_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n'
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>'
)
_PADDING = re.compile(rb"\s+(?=<\?xpacket end=)")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML does not allow


class DamagedError(Exception):
    """A picture's metadata cannot be read, so changing them could lose data. The message says what is wrong."""


@dataclass
class _Element:
    """An element of the packet.

    Attributes:
        name: namespace and local name.
        begin, opened: byte offsets of the begin and end of the start tag.
        closing, end: byte offsets of the begin and end of the end tag; an empty-element tag has closing == begin and
            end == opened.
        attributes: by namespace and local name.
        children: the child elements.
        text: the character data.
    """

    name: Name
    begin: int
    opened: int
    attributes: dict[Name, str]
    closing: int = 0
    end: int = 0
    children: list[_Element] = field(default_factory=list)
    text: str = ""

    def all(self, name: Name) -> list[_Element]:
        """Return the children with a name."""
        return [child for child in self.children if child.name == name]


def empty_packet() -> bytes:
    """Return an empty packet."""
    return _EMPTY.encode()


def get_text(packet: bytes, name: Name) -> str:
    """Return a property's text in the default language, or the first one; empty if there is none.

    Raises:
        DamagedError: the packet is not XMP.
    """
    for description in _descriptions(_parse(packet)[1]):
        for element in description.all(name):
            items = _items(element)
            chosen = next((item for item in items if _language(item) == DEFAULT_LANGUAGE), items[0] if items else None)
            return (chosen or element).text.strip()
        if text := description.attributes.get(name, "").strip():
            return text
    return ""


def set_text(packet: bytes, name: Name, text: str) -> bytes:
    """Return the packet with a property's text set in the default language; texts in other languages are kept.

    Raises:
        DamagedError: the packet is not XMP.
    """
    data, root = _parse(packet)
    new = escape(_FORBIDDEN.sub(" ", text)).encode()
    item = f'<rdf:li xmlns:rdf="{RDF}" xml:lang="{DEFAULT_LANGUAGE}">'.encode() + new + b"</rdf:li>"
    prefix = PREFIXES[name[0]]
    whole = (
        f'<{prefix}:{name[1]} xmlns:{prefix}="{name[0]}" xmlns:rdf="{RDF}"><rdf:Alt>'.encode()
        + item
        + f"</rdf:Alt></{prefix}:{name[1]}>".encode()
    )
    for description in _descriptions(root):
        for element in description.all(name):
            items = _items(element)
            for found in items:
                if _language(found) == DEFAULT_LANGUAGE:
                    if found.closing == found.begin:  # <rdf:li .../>
                        return _replace(data, found.begin, found.end, item)
                    return _replace(data, found.opened, found.closing, new)
            if items:
                return _replace(data, items[0].begin, items[0].begin, item)
            return _replace(data, element.begin, element.end, whole)
        if name in description.attributes:
            tag = data[description.begin : description.opened]
            return set_text(_replace(data, description.begin, description.opened, _without(tag, name)), name, text)
    rdf = _rdf(root)
    about = next((each.attributes.get((RDF, "about"), "") for each in _descriptions(root)), "")
    block = (
        f' <rdf:Description xmlns:rdf="{RDF}" rdf:about={quoteattr(about)}>'.encode() + whole + b"</rdf:Description>\n "
    )
    if rdf.closing == rdf.begin:  # <rdf:RDF/>
        tag = data[rdf.begin : rdf.end]
        opened = tag[: tag.rindex(b"/")] + b">"
        label = tag[1:].split()[0].rstrip(b"/>")
        return _replace(data, rdf.begin, rdf.end, opened + block + b"</" + label + b">")
    return _replace(data, rdf.closing, rdf.closing, block)


def without_padding(packet: bytes) -> bytes:
    """Return the packet without the padding that some programs reserve for later changes."""
    return _PADDING.sub(b"\n", packet)


def _replace(data: bytes, begin: int, end: int, new: bytes) -> bytes:
    return data[:begin] + new + data[end:]


def _without(tag: bytes, name: Name) -> bytes:
    """Return a start tag without an attribute of this name, with any prefix."""
    pattern = re.compile(rb"\s+[^\s=<>\"'/]+:" + name[1].encode() + rb"\s*=\s*(\"[^\"]*\"|'[^']*')")
    changed, count = pattern.subn(b"", tag)
    if count != 1:
        raise DamagedError(f"its XMP contains {name[1]} in a form that cannot be changed")
    return changed


def _items(element: _Element) -> list[_Element]:
    return [item for box in element.all((RDF, "Alt")) for item in box.all((RDF, "li"))]


def _language(item: _Element) -> str:
    return item.attributes.get((XML, "lang"), "")


def _rdf(root: _Element) -> _Element:
    if root.name == (RDF, "RDF"):
        return root
    for child in root.all((RDF, "RDF")):
        return child
    raise DamagedError("its XMP has no rdf:RDF")


def _descriptions(root: _Element) -> list[_Element]:
    return _rdf(root).all((RDF, "Description"))


def _parse(packet: bytes) -> tuple[bytes, _Element]:
    """Return the packet in UTF-8 and its outermost element."""
    data = _utf8(packet)
    parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
    parser.buffer_text = True
    stack: list[_Element] = []
    roots: list[_Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        begin = parser.CurrentByteIndex
        named = {_name(key): value for key, value in attributes.items()}
        element = _Element(_name(name), begin, _tag_end(data, begin), named)
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def end(_: str) -> None:
        element = stack.pop()
        element.closing = parser.CurrentByteIndex
        empty = data[element.opened - 2 : element.opened] == b"/>"
        element.closing = element.begin if empty else element.closing
        element.end = element.opened if empty else data.index(b">", element.closing) + 1

    def characters(text: str) -> None:
        if stack:
            stack[-1].text += text

    def refuse(*_: object) -> None:
        raise DamagedError("its XMP has a document type, which is not allowed")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = characters, refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, RecursionError) as error:
        raise DamagedError(f"its XMP cannot be read ({error})") from None
    return data, roots[0]


def _tag_end(data: bytes, begin: int) -> int:
    """Return the end of the start tag that begins at `begin`; a quoted value may contain `>`."""
    quote, place = b"", begin
    while True:
        letter = data[place : place + 1]
        if not letter:
            raise DamagedError("its XMP ends within a tag")
        place += 1
        if quote:
            quote = b"" if letter == quote else quote
        elif letter in (b'"', b"'"):
            quote = letter
        elif letter == b">":
            return place


def _name(text: str) -> Name:
    namespace, _, local = text.rpartition(" ")
    return namespace, local


def _utf8(packet: bytes) -> bytes:
    """Return a packet in UTF-8, the encoding in pictures; sidecars may be in UTF-16 or UTF-32."""
    packet = packet.rstrip(b"\0") if not packet.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) else packet
    for mark, encoding in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if packet.startswith(mark):
            try:
                text = packet.decode(encoding)
            except UnicodeDecodeError:
                raise DamagedError("its XMP is not Unicode") from None
            return re.sub(r"""(<\?xml[^>]*encoding=)["'][^"']*["']""", r'\1"UTF-8"', text, count=1).encode()
    data = packet.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n\t \0")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise DamagedError("its XMP is not UTF-8") from None
    return data
