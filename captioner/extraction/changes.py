"""Pictures that change or vanish while they are being extracted."""

from __future__ import annotations

import logging

import numpy as np

from captioner.extraction.partial import EncodedBatch
from captioner.images.listing import Pictures

logger = logging.getLogger(__name__)

STALE = -1  # the size noted for a file that was not read since it changed


class Changes:
    """What happened to the pictures' files since they were listed.

    Attributes:
        notes: image_id -> what happened.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self.notes: dict[str, str] = {}

    def note_read(self, batch: EncodedBatch) -> None:
        """Compare the files of a batch, as they were read, with the listing, and correct the listing."""
        pictures, places, sources = self._pictures, batch.places, batch.sources
        changed = (sources["bytes"] != pictures.bytes[places]) | (sources["modified"] != pictures.modified[places])
        for place in places[changed]:
            self.notes[pictures.ids[int(place)]] = "changed before it was read; its features are of the new file"
        pictures.bytes[places], pictures.modified[places] = sources["bytes"], sources["modified"]

    def note_end(self, with_features: np.ndarray) -> None:
        """Look at the files with features again; one that has changed is marked, so that it is extracted again.

        Args:
            with_features: (pictures,) bool.
        """
        pictures = self._pictures
        for place in range(len(pictures) if pictures.offsets is None else 0):  # a tar file is not written to
            if not with_features[place]:
                continue
            try:
                status = pictures.path(place).stat()
            except OSError:
                self.notes[pictures.ids[place]] = "vanished after it was read; the next call leaves it out"
                continue
            if (status.st_size, status.st_mtime_ns) != (pictures.bytes[place], pictures.modified[place]):
                self.notes[pictures.ids[place]] = "changed after it was read; the next call encodes it again"
                pictures.bytes[place] = STALE

    def report(self) -> None:
        """Name the first of them, and how many there are."""
        if self.notes:
            name, note = next(iter(self.notes.items()))
            logger.info(
                f"pictures changed or vanished while the extraction ran: {len(self.notes)}; the first: {name} {note}"
            )
