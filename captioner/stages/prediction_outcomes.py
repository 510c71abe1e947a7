"""What becomes of each picture, and the plain way to it: one batch after the other, without Keras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captioner.extraction.loader import Listing, read_listed
from captioner.generation.caption import Caption
from captioner.picture_captioner import PictureCaptioner
from captioner.storage import DataError


@dataclass(frozen=True)
class Outcome:
    """What became of a picture.

    Attributes:
        place: in the list.
        captions: best first.
        fault: why there are none, in one line.
    """

    place: int
    captions: Sequence[Caption]
    fault: str | None = None


def caption_plainly(
    captioner: PictureCaptioner, files: Listing, batches: Iterable[np.ndarray], n: int, changes: Mapping[str, Any]
) -> Iterator[Outcome]:
    """Yield what becomes of the pictures of some batches of places in `files`, in their order."""
    for batch in batches:
        faults: dict[int, str] = {}
        prepared: dict[int, np.ndarray] = {}
        for place in batch.tolist():
            try:
                name, data, _ = read_listed(files, place)
                prepared[place] = captioner.prepare(data, name)
            except DataError as error:
                faults[place] = str(error)
        found: Iterator[list[Caption]] = iter(())
        if prepared:
            numbers = np.array(list(prepared))
            features = captioner.encode_prepared(list(prepared.values()))
            found = iter(captioner.caption_features(features, n, numbers, **changes))
        for place in batch.tolist():
            yield Outcome(place, (), faults[place]) if place in faults else Outcome(place, next(found))
