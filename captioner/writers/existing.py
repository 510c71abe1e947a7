"""Keep, replace or extend an existing caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Existing = Literal["skip", "overwrite", "append", "prepend"]


@dataclass(frozen=True)
class Wording:
    """How captions are put into files.

    Attributes:
        existing: what to do with an existing caption: `skip` keeps it, `overwrite` replaces it, `append` and
            `prepend` put the new caption after or before it.
        prefix, suffix: texts before and after every caption.
    """

    existing: Existing = "skip"
    prefix: str = ""
    suffix: str = ""

    def framed(self, caption: str) -> str:
        """Return a caption between prefix and suffix."""
        return f"{self.prefix}{caption}{self.suffix}"

    def merged(self, before: str, caption: str, between: str) -> str | None:
        """Return the text to write if `before` is the existing text, or None to keep it.

        A caption that is already in the text is not added again, so that the same command can continue a stopped run.
        """
        before = before.strip()
        if not before or self.existing == "overwrite":
            return caption
        if self.existing == "skip" or caption in before.split(between):
            return None
        return f"{before}{between}{caption}" if self.existing == "append" else f"{caption}{between}{before}"
