"""Write captions into pictures as XMP in JPEG, PNG and WebP; all other bytes of the file stay unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from captioner.storage import DataError
from captioner.writers.existing import Wording
from captioner.writers.lines import one_line
from captioner.writers.metadata.containers import container_of
from captioner.writers.metadata.present import present_texts
from captioner.writers.metadata.xmp import DESCRIPTION, DamagedError, empty_packet, get_text, without_padding
from captioner.writers.result import Captioned, Write
from captioner.writers.sidecars import described
from captioner.writers.targets import read_file, replace_file, require_writable


class EmbeddedMetadata:
    """dc:description and Iptc4xmpCore:AltTextAccessibility of the pictures' own XMP.

    Args:
        wording: prefix, suffix, and what to do with an existing description.
        keep_times: whether the pictures keep their times.
        dry_run: if given, receives lines about what would be written, and nothing is written.
    """

    option = "--write metadata"

    def __init__(self, wording: Wording, keep_times: bool = False, dry_run: Write | None = None) -> None:
        self.wording, self.keep_times, self.dry_run = wording, keep_times, dry_run

    def target(self, picture: Path) -> Path:
        """Return the picture itself."""
        return picture

    def check(self, pictures: Iterable[Path]) -> None:
        """Refuse folders that cannot be written to. Raises DataError, which names the first."""
        require_writable({(path.resolve() if path.is_symlink() else path).parent for path in pictures}, self.option)

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture has a description to keep, in XMP, Exif or IPTC."""
        if self.wording.existing != "skip":
            return False
        try:
            return bool(present_texts(read_file(picture) or b""))
        except (DamagedError, DataError):
            return False  # the error is reported when the caption is written

    def add(self, result: Captioned) -> None:
        """See Writer.add."""
        if not result.captions:
            return
        path, file = result.path, read_file(result.path)
        if file is None:
            raise DataError(f"{path}: no such file; it was removed after captioning")
        container = container_of(file)
        if container is None:
            raise DataError(
                f"{path}: metadata can only be written into JPEG, PNG and WebP files; use --write xmp-sidecar"
            )
        try:
            if self.wording.existing == "skip" and present_texts(file):
                return
            packet = container.read(file)
            changed = described(empty_packet() if packet is None else packet, self.wording, result.captions[0].text)
            if changed is None:
                return
            new = container.write(file, without_padding(changed))
        except DamagedError as error:
            raise DataError(f"{path}: {error}; the file is unchanged") from None
        if self.dry_run is not None:
            self.dry_run(f"would write into {one_line(str(path))}: {get_text(changed, DESCRIPTION)}")
            return
        replace_file(path, new, self.keep_times)

    def close(self) -> None:
        """See Writer.close."""
