"""Detects pictures that change or vanish during the extraction."""

from __future__ import annotations

import logging

import numpy as np

from captioner.extraction.partial import EncodedBatch
from captioner.images.listing import Pictures

logger = logging.getLogger(__name__)

STALE = -1  # the recorded size of a file that has changed since it was read


class Changes:
    """Changes of the pictures' files since they were listed.

    Attributes:
        notes: image_id -> the change.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self.notes: dict[str, str] = {}

    def note_read(self, batch: EncodedBatch) -> None:
        """Compare the files of a batch, at the time they were read, with the listing, and update the listing."""
        pictures, places, sources = self._pictures, batch.places, batch.sources
        changed = (sources["bytes"] != pictures.bytes[places]) | (sources["modified"] != pictures.modified[places])
        for place in places[changed]:
            self.notes[pictures.ids[int(place)]] = "changed before it was read; its features are those of the new file"
        pictures.bytes[places], pictures.modified[places] = sources["bytes"], sources["modified"]

    def note_end(self, with_features: np.ndarray) -> None:
        """Check the files with features again, and mark changed files so that the next run extracts them again.

        Args:
            with_features: (pictures,) bool.
        """
        pictures = self._pictures
        for place in range(len(pictures) if pictures.offsets is None else 0):  # tar files are not modified
            if not with_features[place]:
                continue
            try:
                status = pictures.path(place).stat()
            except OSError:
                self.notes[pictures.ids[place]] = "vanished after it was read; the next run leaves it out"
                continue
            if (status.st_size, status.st_mtime_ns) != (pictures.bytes[place], pictures.modified[place]):
                self.notes[pictures.ids[place]] = "changed after it was read; the next run encodes it again"
                pictures.bytes[place] = STALE

    def report(self) -> None:
        """Log the first change and the number of changes."""
        if self.notes:
            name, note = next(iter(self.notes.items()))
            logger.info(
                f"pictures that changed or vanished during the extraction: {len(self.notes)} (first: {name} {note})"
            )
