"""The Captions type: references, pictures and splits by image_id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from captioner.storage import DataError


@dataclass(frozen=True)
class Captions:
    """What a data set says about its pictures.

    Attributes:
        references: image_id -> the picture's captions as RAW text, in the order of the source.
        pictures: image_id -> the picture's file, where known.
        splits: name -> the split's image_ids in the order of the source; no id stands in two splits.
    """

    references: Mapping[str, tuple[str, ...]]
    pictures: Mapping[str, Path] = field(default_factory=dict)
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def split(self, name: str) -> tuple[str, ...]:
        """Return the image_ids of a split.

        Raises:
            DataError: there is no such split; the message names those that there are.
        """
        if name not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise DataError(f"split {name!r} is not in the data (known: {known}); name its list under data.splits")
        return self.splits[name]
