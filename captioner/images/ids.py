r"""image_ids: one spelling for all the ways in which data sets name a picture.

Call `normalize_ids` with all names of a source, since the common root depends on all of them; `normalize_id` is for a
name that is already relative to the pictures' folder.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from captioner.encoding import escape

# Extensions of picture files. Other files are recognized by their content, see captioner.images.listing.
EXTENSIONS = (
    "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "gif", "bmp", "dib", "webp", "tif", "tiff", "avif", "heic",
    "heif", "ppm", "pgm", "pbm", "pnm", "pfm", "jp2", "j2k", "j2c", "jpc", "jpx", "jpf", "qoi", "sgi", "pcx", "psd",
)  # fmt: skip

EMPTY = "%"  # the id of a name that would become empty; no other name has this id
_ENDING = rf"\.(?:{'|'.join(EXTENSIONS)})"
_FLICKR_INDEX = re.compile(r"#\d+\Z")
_KNOWN_ENDINGS = frozenset(EXTENSIONS)
_LONGEST_ENDING = max(map(len, EXTENSIONS)) + 1
_BEHIND = re.compile(rf"(?<=[^/])({_ENDING})[#?].*\Z", re.IGNORECASE | re.DOTALL)
_PICTURE = re.compile(rf"[^\n]*[^/\\\n]{_ENDING}(?:[#?][^\n]*)?", re.IGNORECASE)
_COCO = re.compile(
    r"(?:(?:.*/)?COCO_(?:train|val|test)20\d\d_|(?:(?:.*/)?(?:train|val|test|unlabeled)20\d\d/)?)(\d{12})"
)
_UNSAFE = re.compile(r"[\s#]")
# letters beyond ASCII, and what ASCII can print but white space, `#`, `%`, `/`, `\` and `?`
_PERCENT = re.compile(
    r"(?:%[89A-F][0-9A-F])+|%(?:2[1246-9A-E]|3[0-9A-E]|4[0-9A-F]|5[0-9ABD-F]|6[0-9A-F]|7[0-9A-E])", re.I
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE = re.compile(r"file:/+(?:localhost/)?(?=([A-Za-z]:/)?)", re.IGNORECASE)
_ROOTED = re.compile(r"/|[A-Za-z]:/|[A-Za-z][A-Za-z0-9+.-]*://")
_NEEDLESS = re.compile(r"(?<![:/])/(?:\.?/)+")
_UPWARDS = re.compile(r"(?:\.{1,2}/)+")
_WHOLE = re.compile(r"(\d+)\.0+")


def normalize_id(text: str) -> str:
    r"""Return the image_id for `text`: an id, a path of a picture, or Flickr's `name.jpg#0`.

    `\` becomes `/`; a leading `./` is removed, and picture extensions with what follows them; white space and `#` are
    percent-encoded; a COCO name becomes its number (`COCO_train2014_000000493652.jpg` and
    `train2017/000000493652.jpg` are `493652`). An id is not changed.
    """
    return _without_extension(_path(text))


def normalize_ids(names: Iterable[str]) -> dict[str, str]:
    r"""Return name -> image_id for all names of a source.

    From absolute paths (`/data/a.jpg`, `C:\data\a.jpg`, `\\host\share\a.jpg`, `file:///data/a.jpg`, URLs) the folder
    that contains all of them is removed; if other names are relative, as much is removed as makes their folders equal.
    """
    paths = {name: _path(name) for name in names}
    rooted = [path for path in paths.values() if _ROOTED.match(path)]
    if rooted:
        relative = {posixpath.dirname(path) for path in paths.values() if not _ROOTED.match(path)} - {""}
        root = _common_folder(rooted)
        paths = {
            name: _without_root(path, root, relative) if _ROOTED.match(path) else path for name, path in paths.items()
        }
    return {name: _without_extension(path) for name, path in paths.items()}


def whole_numbers(names: Collection[str]) -> dict[str, str]:
    """Return name -> the name without `.0` if all names of a table are numbers such as 1.0; otherwise the names.

    Spreadsheet programs write integers like this. Do not use it for files of captioner: 1.0.jpg is the picture 1.0.
    """
    if not all(_WHOLE.fullmatch(name) for name in names):
        return {name: name for name in names}
    return {name: name.partition(".")[0] for name in names}


def is_rooted(name: str) -> bool:
    """Return whether a name is an absolute path or an address; its id then also depends on the other names."""
    return _ROOTED.match(_path(name)) is not None


def spell_id(value: object) -> str | None:
    """Return an id from JSON or a pickle, a text or a number, as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    if isinstance(value, int | str):
        return str(value).strip() or None
    return None


def is_picture_name(text: str) -> bool:
    """Return whether a name, a path or an address has the extension of a picture."""
    text = text.strip()
    return "\n" not in text and _PICTURE.fullmatch(text) is not None


def image_id(path: str | Path, folder: str | Path) -> str:
    """Return the image_id of the picture at `path`: its path relative to `folder`, normalised."""
    return normalize_id(Path(path).relative_to(folder).as_posix())


def align(ids: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Return id -> the known id with the same name in another folder; empty if any id is already known.

    `im/a` matches `a`, and `a` matches `im/a`, if the match is unique; ids without a match are left out.
    """
    known = known if isinstance(known, set | frozenset | dict) else set(known)
    if not ids or not known or any(name in known for name in ids):
        return {}
    tails: dict[str, str | None] = {}
    for name in known:
        for tail in _tails(name):
            tails[tail] = None if tail in tails else name
    found: dict[str, str] = {}
    for name in ids:
        meant = next((tail for tail in _tails(name) if tail in known), None) or tails.get(name)
        if meant is not None:
            found[name] = meant
    return found if len(set(found.values())) == len(found) else {}


def one_of_each(ids: Iterable[str], known: Iterable[str]) -> str:
    """Return, for a message, one id of each of two sources that have no ids in common."""
    return f"no id in common: {next(iter(ids), '')!r} in one, {next(iter(known), '')!r} in the other"


def _tails(name: str) -> Iterable[str]:
    while "/" in name:
        name = name.partition("/")[2]
        yield name


def _path(text: str) -> str:
    """Return a name with slashes, without leading relative parts."""
    text = unicodedata.normalize("NFC", _decoded(text))
    if "\\" in text:
        text = text.replace("\\", "/")
    if text[:5].lower() == "file:" and (scheme := _FILE.match(text)):
        text = text[scheme.end() :] if scheme[1] else f"/{text[scheme.end() :]}"
    if "//" in text or "/./" in text:
        text = _NEEDLESS.sub("/", text)
    if text.startswith(".") and (up := _UPWARDS.match(text)):
        text = text[up.end() :]
    return text


def _decoded(text: str) -> str:
    """Undo percent-encoding, as in addresses; characters that are special or not allowed in ids stay encoded."""
    return _PERCENT.sub(_letters, text) if "%" in text else text


def _letters(encoded: re.Match[str]) -> str:
    try:
        text = unquote_to_bytes(encoded[0]).decode()
    except UnicodeDecodeError:
        return encoded[0].upper()
    return text if text.isprintable() else encoded[0].upper()


def _without_extension(text: str) -> str:
    if "#" in text or "?" in text:
        text = _FLICKR_INDEX.sub("", _BEHIND.sub(r"\1", text))
    text = _without_endings(text)
    if coco := _COCO.fullmatch(text):
        return str(int(coco[1]))
    return _UNSAFE.sub(lambda unsafe: quote(unsafe[0], safe=""), escape(text)) or EMPTY


def _without_endings(text: str) -> str:
    """Return a path without picture extensions at its end, one after the other."""
    end = len(text)
    while (dot := text.rfind(".", max(0, end - _LONGEST_ENDING), end)) > 0:
        if text[dot - 1] == "/" or text[dot + 1 : end].lower() not in _KNOWN_ENDINGS:
            break
        end = dot
    return text[:end]


def _common_folder(paths: list[str]) -> str:
    folders = {f"{posixpath.dirname(path)}/" for path in paths}
    first, last = min(folders), max(folders)
    shared = next((place for place, sign in enumerate(first) if last[place : place + 1] != sign), len(first))
    return first[: first.rfind("/", 0, shared) + 1]


def _without_root(path: str, root: str, relative: Collection[str]) -> str:
    folder = posixpath.dirname(path)
    same = max((other for other in relative if folder.endswith(f"/{other}")), key=len, default=None)
    if same is not None:
        return path[len(folder) - len(same) :]
    # only the scheme or the first slash is common: it is removed nevertheless
    return path[len(root) :] if root else _ROOTED.sub("", path, count=1).lstrip("/")
