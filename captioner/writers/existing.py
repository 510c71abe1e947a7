"""Whether a caption that is there already is kept, replaced or extended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Existing = Literal["skip", "overwrite", "append", "prepend"]


@dataclass(frozen=True)
class Wording:
    """How captions are put into files.

    Attributes:
        existing: what becomes of a caption that is there: `skip` leaves it, `overwrite` replaces it, `append` and
            `prepend` put the new one behind or before it.
        prefix, suffix: texts before and behind every caption.
    """

    existing: Existing = "skip"
    prefix: str = ""
    suffix: str = ""

    def framed(self, caption: str) -> str:
        """Return a caption between prefix and suffix."""
        return f"{self.prefix}{caption}{self.suffix}"

    def merged(self, before: str, caption: str, between: str) -> str | None:
        """Return the text to write where `before` is there, None to leave it.

        A caption that is there already is not added again, so that the same command can continue a killed run.
        """
        before = before.strip()
        if not before or self.existing == "overwrite":
            return caption
        if self.existing == "skip" or caption in before.split(between):
            return None
        return f"{before}{between}{caption}" if self.existing == "append" else f"{caption}{between}{before}"
