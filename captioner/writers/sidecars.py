"""Write captions into files beside the pictures: plain text, or XMP."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from captioner.config import ConfigError
from captioner.images.ids import EXTENSIONS
from captioner.storage import DataError
from captioner.writers.existing import Wording
from captioner.writers.lines import one_line
from captioner.writers.metadata.present import present_texts
from captioner.writers.metadata.xmp import ALT_TEXT, DESCRIPTION, DamagedError, empty_packet, get_text, set_text
from captioner.writers.result import Captioned, Write
from captioner.writers.targets import read_file, replace_file, require_one_each, require_writable

LINE, SENTENCE = "\n", "; "  # separators between the existing text and the new one: in text files, in metadata


class TextSidecars:
    """NAME.txt beside each picture, one caption per line, a format that captioner can also read.

    Args:
        wording: prefix, suffix, and what to do with an existing text.
        extension: of the files.
        keep_times: whether an existing file keeps its times.
        dry_run: if given, receives lines about what would be written, and nothing is written.

    Raises:
        ConfigError: the extension belongs to pictures, or is not valid.
    """

    option = "--write txt"

    def __init__(
        self, wording: Wording, extension: str = ".txt", keep_times: bool = False, dry_run: Write | None = None
    ) -> None:
        extension = extension if extension.startswith(".") else f".{extension}"
        if extension.lower().rpartition(".")[2] in EXTENSIONS:
            raise ConfigError(f"--extension {extension}: belongs to pictures, which would be overwritten; name another")
        if len(extension) < 2 or any(letter in extension for letter in "/\\\0"):
            raise ConfigError(f"--extension {extension}: is not a file extension; name one such as .caption")
        self.wording, self.extension, self.keep_times, self.dry_run = wording, extension, keep_times, dry_run

    def target(self, picture: Path) -> Path:
        """Return a picture's text file."""
        return picture.with_suffix(self.extension)

    def check(self, pictures: Iterable[Path]) -> None:
        """Check the targets before the work. Raises DataError, see `require_one_each` and `require_writable`."""
        require_writable(require_one_each(pictures, self.target, self.option), self.option)

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture has a text to keep."""
        if self.wording.existing != "skip":
            return False
        try:
            return bool((read_file(self.target(picture)) or b"").strip())
        except DataError:
            return True  # it exists, although it cannot be read

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        # A caption is always one line, even if the prefix contains line ends.
        captions = [" ".join(self.wording.framed(each.text).split()) for each in result.captions if each.text.strip()]
        if not captions:
            return
        path = self.target(result.path)
        data = read_file(path) or b""
        try:
            before = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if self.wording.existing != "overwrite":
                raise DataError(f"{path}: is not UTF-8 and stays unchanged; save it as UTF-8") from None
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
            self.dry_run(f"would write {one_line(str(path))}: {' / '.join(text.splitlines())}")
            return
        replace_file(path, f"{text.strip()}\n".encode(), self.keep_times)

    def close(self) -> None:
        """See Writer.close."""


class XmpSidecars:
    """NAME.xmp beside each picture: dc:description and Iptc4xmpCore:AltTextAccessibility.

    If NAME.jpg.xmp exists, the form of darktable and digiKam, it is used instead.

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
        """Check the targets before the work. Raises DataError, see `require_one_each` and `require_writable`."""
        require_writable(require_one_each(pictures, self.target, self.option), self.option)

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture has a description to keep, in its sidecar or in the picture."""
        if self.wording.existing != "skip":
            return False
        try:
            packet = read_file(self.target(picture))
            if packet and has_text(packet):
                return True
        except (DamagedError, DataError):
            return False  # the error is reported when the caption is written
        return bool(_texts_inside(picture))

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        if not result.captions:
            return
        path, caption = self.target(result.path), result.captions[0].text
        if self.wording.existing == "skip":
            # The text that this run has just written into the picture does not count as an existing text.
            written = self.wording.framed(caption).strip()
            if any(text != written for text in _texts_inside(result.path)):
                return
        try:
            changed = described(read_file(path) or empty_packet(), self.wording, caption)
        except DamagedError as error:
            raise DataError(f"{path}: {error}; the file is unchanged") from None
        if changed is None:
            return
        if self.dry_run is not None:
            self.dry_run(f"would write {one_line(str(path))}: {get_text(changed, DESCRIPTION)}")
            return
        replace_file(path, changed, self.keep_times)

    def close(self) -> None:
        """See Writer.close."""


def _texts_inside(picture: Path) -> list[str]:
    """Return the descriptions inside a picture; empty if it cannot be read or is damaged."""
    try:
        return present_texts(read_file(picture) or b"")
    except (DamagedError, DataError):
        return []


def has_text(packet: bytes) -> bool:
    """Return whether a packet has a description or an alt text. Raises DamagedError if it cannot be read."""
    return any(get_text(packet, name) for name in (DESCRIPTION, ALT_TEXT))


def described(packet: bytes, wording: Wording, caption: str) -> bytes | None:
    """Return a packet with a caption as description and alt text, or None if the existing ones are kept.

    An empty caption replaces nothing.

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
