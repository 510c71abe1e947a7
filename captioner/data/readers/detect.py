"""Detects the format of a caption file by its content, and calls the reader for it."""

from __future__ import annotations

import glob
import gzip
import logging
import mmap
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from captioner.config import ConfigError
from captioner.data.captions import Captions, merge
from captioner.data.readers.coco import read_coco, read_image_info, read_karpathy
from captioner.data.readers.columns import known_names
from captioner.data.readers.cs231n import read_cs231n
from captioner.data.readers.flickr import TOKEN_LINE, is_comment, read_descriptions, read_tokens
from captioner.data.readers.folder import read_folder, read_webdataset, text_beside
from captioner.data.readers.headers import find_head, looks_like_table
from captioner.data.readers.kinds import name_kind
from captioner.data.readers.records import is_record, is_whole, read_mapping, read_records
from captioner.data.readers.tables import read_table
from captioner.encoding import decode, find_encoding
from captioner.hdf5 import SIGNATURE
from captioner.images.listing import list_images
from captioner.memory import collector_paused
from captioner.missing import way_out
from captioner.storage import DataError, digest_file, digest_json, reading

logger = logging.getLogger(__name__)

Sources = str | Path | Sequence[str | Path]

_CAPTION_KEY = re.compile(rb'"(?:captions?|image_caption|caption_text|sents|raw|references?|texts?|comments?)"\s*:')
HEAD = 2**16  # bytes that are examined
# If a folder contains such files, they are read instead of the texts beside its pictures.
INNER = ("captions_*.json", "metadata.csv", "metadata.jsonl", "*.tar", "*.tar.gz", "*.tgz")


class Form(NamedTuple):
    """A format of captions: its description for users, and its reader."""

    looks: str
    read: Callable[..., Captions]
    takes_predictions: bool = False


READERS: dict[str, Form] = {
    "flickr": Form("name.jpg#0<TAB>caption: Flickr8k.token.txt, Flickr30k's results_20130124.token", read_tokens),
    "csv": Form("a table, best with a header: image,caption; commas, tabs, semicolons or bars", read_table, True),
    "jsonl": Form('JSON lines or a JSON list: {"image": "a.jpg", "caption": "..."}', read_records, True),
    "json": Form('a JSON object: {"a.jpg": "...", "b.jpg": ["...", "..."]}', read_mapping, True),
    "coco": Form("COCO's captions_*.json: images and annotations", read_coco, True),
    "coco-images": Form("COCO's image_info_*.json: pictures without captions, for prediction", read_image_info),
    "karpathy": Form("Karpathy's dataset_*.json: images with sentences and splits", read_karpathy),
    "cs231n": Form("CS231n's coco2014_captions.h5, with its vocabulary beside it", read_cs231n),
    "folder": Form("a folder of pictures with name.txt beside name.jpg, one caption per line", read_folder),
    "webdataset": Form("a tar of name.jpg with name.txt or name.json", read_webdataset),
    "descriptions": Form("image_id caption: descriptions.txt", read_descriptions, True),
}


def read_data(captions: Sources, format: str = "auto", predictions: bool = False) -> Captions:
    """Read captions in any supported format, with the splits that they contain.

    Args:
        captions: a file, a folder, a pattern such as `shards/*.tar`, or several of these, which are combined.
        format: a name in READERS, or "auto" to detect it from the content.
        predictions: whether they are predictions, which may be blank.

    Raises:
        DataError: something cannot be read, is empty or malformed (the message names the line), or has a picture in
            two splits.
        ConfigError: the format is unknown.
    """
    require_format(format)
    sources = find_sources(captions)
    if again := len(_named(captions)) - len(sources):
        logger.warning(f"{again} of the caption files are named a second time; each is read once")
    with collector_paused():
        parts = [
            (path, _read(path, detect_format(path, predictions) if format == "auto" else format, predictions))
            for path in sources
        ]
        return merge(parts)


def _read(path: Path, format: str, predictions: bool) -> Captions:
    form = READERS[format]
    with reading(path):
        return form.read(path, predictions=True) if predictions and form.takes_predictions else form.read(path)


def spell(captions: Sources) -> str:
    """Return the names of captions as on a command line."""
    return str(captions) if isinstance(captions, str | Path) else " ".join(map(str, captions))


def require_format(name: str) -> None:
    """Raise ConfigError if there is no format `name`; the message lists the formats."""
    if name not in ("auto", *READERS):
        raise ConfigError(f"format: {name!r} is not known (known: auto, {', '.join(READERS)})")


def find_sources(captions: Sources) -> list[Path]:
    """Return the different files and folders to read, each by one reader; see `_named`."""
    different: dict[Path, Path] = {}
    for path in _named(captions):
        different.setdefault(path.resolve(), path)
    return list(different.values())


def _named(captions: Sources) -> list[Path]:
    """Return the files and folders that names and patterns mean.

    Raises:
        DataError: a pattern matches nothing.
    """
    found: list[Path] = []
    for one in [captions] if isinstance(captions, str | Path) else captions:
        path = Path(one)
        if path.is_dir():
            inner = (sorted(path.glob(pattern)) for pattern in INNER)
            found += next(filter(None, inner), [path])
        elif not path.exists() and glob.has_magic(str(one)):
            matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
            if not matches:
                raise DataError(f"{one}: matches no file; check the pattern")
            found += matches
        else:
            found.append(path)
    if not found:
        raise DataError("no caption file is named; name one")
    return found


def digest_captions(captions: Sources) -> str:
    """Return the digest of captions as `read_data` reads them: of the file, or one digest of all files with captions.

    Raises:
        DataError: a file is missing or unreadable.
    """
    sources = find_sources(captions)
    if len(sources) == 1 and not sources[0].is_dir():
        return digest_file(sources[0])
    files = ((file.relative_to(source.parent).as_posix(), file) for source in sources for file in _files(source))
    return digest_json([[name, digest_file(file)] for name, file in files])


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    return [text for picture in list_images(source).values() if (text := text_beside(picture)) is not None]


def detect_format(path: str | Path, predictions: bool = False) -> str:
    """Return the name in READERS of the format of a caption file or folder, detected from its content.

    Raises:
        DataError: the file cannot be read, is empty, or is of a kind that cannot contain captions.
    """
    path = Path(path)
    if path.is_dir():
        return "folder"
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {way_out(path)}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if head.startswith(SIGNATURE):
        return "cs231n"
    if head[257:262] == b"ustar" or _is_packed_tar(path, head):
        return "webdataset"
    if fault := name_kind(head):
        raise DataError(f"{path}: {fault}")
    with reading(path):
        return _detect_text(path, head, predictions)


def _is_packed_tar(path: Path, head: bytes) -> bool:
    if not head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")):
        return False
    # the message for a compressed text says so; the reader of tars handles tars and broken files
    return not _unpacks_to_text(path, head)


def _unpacks_to_text(path: Path, head: bytes) -> bool:
    import bz2  # and lzma: other commands do not need them
    import lzma

    unpack = gzip.open if head.startswith(b"\x1f\x8b") else bz2.open if head.startswith(b"BZh") else lzma.open
    try:
        with unpack(path) as file:
            first = file.read(512)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return False
    return bool(first) and first[257:262] != b"ustar" and b"\0" not in first


def _detect_text(path: Path, head: bytes, predictions: bool) -> str:
    text = decode(head, "replace")
    whole = len(head) < HEAD
    lines = text.split("\n")[: None if whole else -1] or [text]
    first = next((line for line in lines if line.strip() and not is_comment(line)), "")
    if not text.strip() or (whole and not any(line.strip() for line in lines)):
        raise DataError(f"{path}: empty; name a caption file")
    opening = first.lstrip()[:1]
    if opening == "[" and _opens_json(first):
        return "jsonl"
    if opening == "{":
        several = len([line for line in lines if line.strip()]) > 1
        return "jsonl" if is_record(first) or (several and is_whole(first)) else _detect_object(path)
    if TOKEN_LINE.fullmatch(first):
        return "flickr"
    if find_head(lines, predictions):
        return "csv"
    if looks_like_table(lines):
        number = lines.index(first) + 1 if first in lines else 1
        raise DataError(
            f"{path}: is a table, but line {number} has no known column names; "
            f"add a header line with names such as {known_names()}"
        )
    return "descriptions"


def _opens_json(line: str) -> bool:
    """Return whether a line begins a JSON list, and not an id or a mark in brackets."""
    return re.match(r'\s*\[\s*(?:$|[\[{"\]\d-])', line) is not None


def _detect_object(path: Path) -> str:
    """Return the format of one large JSON object by its keys, without parsing it twice."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content[:HEAD]
        text: bytes | mmap.mmap = content
        if find_encoding(start)[0] != "utf-8":
            text = decode(content[:], "replace").encode()
        for key, name in {"annotations": "coco", "sentences": "karpathy", "images": "coco-images"}.items():
            if re.search(rb'"%s"\s*:' % key.encode(), text):
                # pictures with their captions beside their names are records
                return "json" if name == "coco-images" and _CAPTION_KEY.search(text) else name
    return "json"
