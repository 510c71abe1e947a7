"""Captions in files beside the pictures: plain text, or XMP."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from captioner.config import ConfigError
from captioner.images.ids import EXTENSIONS
from captioner.storage import DataError
from captioner.writers.existing import Wording
from captioner.writers.metadata.present import present_texts
from captioner.writers.metadata.xmp import ALT_TEXT, DESCRIPTION, DamagedError, empty_packet, get_text, set_text
from captioner.writers.result import Captioned, Write
from captioner.writers.targets import read_file, replace_file, require_one_each, require_writable

LINE, SENTENCE = "\n", "; "  # between what was there and what comes: in text files, in metadata


class TextSidecars:
    """NAME.txt beside each picture, a caption a line. That is a form that captioner reads as captions.

    Args:
        wording: prefix, suffix, and what becomes of a text that is there.
        extension: of the files.
        keep_times: whether a file that is there keeps its times.
        dry_run: takes lines that say what would be written, instead of writing it.

    Raises:
        ConfigError: the extension is a picture's, or none.
    """

    option = "--write txt"

    def __init__(
        self, wording: Wording, extension: str = ".txt", keep_times: bool = False, dry_run: Write | None = None
    ) -> None:
        extension = extension if extension.startswith(".") else f".{extension}"
        if extension.lower().rpartition(".")[2] in EXTENSIONS:
            raise ConfigError(f"--extension {extension}: belongs to pictures, which would be overwritten; name another")
        if len(extension) < 2 or any(letter in extension for letter in "/\\\0"):
            raise ConfigError(f"--extension {extension}: no ending of a file name; name one such as .caption")
        self.wording, self.extension, self.keep_times, self.dry_run = wording, extension, keep_times, dry_run

    def target(self, picture: Path) -> Path:
        """Return a picture's text file."""
        return picture.with_suffix(self.extension)

    def check(self, pictures: Iterable[Path]) -> None:
        """Refuse what would fail later. Raises DataError: see `require_one_each` and `require_writable`."""
        require_writable(require_one_each(pictures, self.target, self.option), self.option)

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture has a text that is to stay."""
        if self.wording.existing != "skip":
            return False
        try:
            return bool((read_file(self.target(picture)) or b"").strip())
        except DataError:
            return True  # it is there, whatever it is

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        # In a file of lines a caption is one line, whatever the prefix holds.
        captions = [" ".join(self.wording.framed(each.text).split()) for each in result.captions if each.text.strip()]
        if not captions:
            return
        path = self.target(result.path)
        data = read_file(path) or b""
        try:
            before = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if self.wording.existing != "overwrite":
                raise DataError(f"{path}: is not UTF-8, so it is left as it is; save it as UTF-8") from None
            before = ""
        text: str | None = before
        for caption in captions if self.wording.existing != "prepend" else reversed(captions):
            merged = self.wording.merged(text or "", caption, LINE)
            text = merged if merged is not None else text
        if self.wording.existing == "overwrite" or not before.strip():
            text = LINE.join(captions)
        if text is None or text.strip() == before.strip():
            return
        if self.dry_run is not None:
            self.dry_run(f"would write {path}: {' / '.join(text.splitlines())}")
            return
        replace_file(path, f"{text.strip()}\n".encode(), self.keep_times)

    def close(self) -> None:
        """See Writer.close."""


class XmpSidecars:
    """NAME.xmp beside each picture: dc:description and Iptc4xmpCore:AltTextAccessibility.

    Where NAME.jpg.xmp is there, as darktable and digiKam write it, that one is taken.

    Args:
        wording, keep_times, dry_run: see `TextSidecars`.
    """

    option = "--write xmp-sidecar"

    def __init__(self, wording: Wording, keep_times: bool = False, dry_run: Write | None = None) -> None:
        self.wording, self.keep_times, self.dry_run = wording, keep_times, dry_run

    def target(self, picture: Path) -> Path:
        """Return a picture's sidecar."""
        own = picture.with_name(f"{picture.name}.xmp")
        return own if own.exists() else picture.with_suffix(".xmp")

    def check(self, pictures: Iterable[Path]) -> None:
        """Refuse what would fail later. Raises DataError: see `require_one_each` and `require_writable`."""
        require_writable(require_one_each(pictures, self.target, self.option), self.option)

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture has a description that is to stay, in its sidecar or in itself."""
        if self.wording.existing != "skip":
            return False
        try:
            packet = read_file(self.target(picture))
            if packet and has_text(packet):
                return True
        except (DamagedError, DataError):
            return False  # said when it is to be written
        return bool(_texts_inside(picture))

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        if not result.captions:
            return
        path, caption = self.target(result.path), result.captions[0].text
        if self.wording.existing == "skip":
            # what this run has just written into the picture is no other text
            written = self.wording.framed(caption).strip()
            if any(text != written for text in _texts_inside(result.path)):
                return
        try:
            changed = described(read_file(path) or empty_packet(), self.wording, caption)
        except DamagedError as error:
            raise DataError(f"{path}: {error}; it is left as it is") from None
        if changed is None:
            return
        if self.dry_run is not None:
            self.dry_run(f"would write {path}: {get_text(changed, DESCRIPTION)}")
            return
        replace_file(path, changed, self.keep_times)

    def close(self) -> None:
        """See Writer.close."""


def _texts_inside(picture: Path) -> list[str]:
    """Return the descriptions that a picture carries itself; none where it cannot be read, or is damaged."""
    try:
        return present_texts(read_file(picture) or b"")
    except (DamagedError, DataError):
        return []


def has_text(packet: bytes) -> bool:
    """Return whether a packet has a description or an alt text. Raises DamagedError: it cannot be read."""
    return any(get_text(packet, name) for name in (DESCRIPTION, ALT_TEXT))


def described(packet: bytes, wording: Wording, caption: str) -> bytes | None:
    """Return a packet with a caption as description and alt text, None where the present ones are kept.

    A caption without a word replaces nothing.

    Raises:
        DamagedError: the packet cannot be read.
    """
    if not caption.strip():
        return None
    if wording.existing == "skip" and has_text(packet):
        return None
    changed = packet
    for name in (DESCRIPTION, ALT_TEXT):
        text = wording.merged(get_text(packet, name), wording.framed(caption), SENTENCE)
        if text is not None and text != get_text(packet, name):
            changed = set_text(changed, name, text)
            if get_text(changed, name) != text.strip():
                raise DamagedError(f"its XMP does not keep {name[1]}")
    return None if changed == packet else changed
