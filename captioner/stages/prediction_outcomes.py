"""The outcome of captioning a picture, and the simple loop without Keras: one batch after the other."""

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
    """The outcome of captioning a picture.

    Attributes:
        place: index of the picture in the list.
        captions: best first.
        fault: why the picture has no captions, in one line.
    """

    place: int
    captions: Sequence[Caption]
    fault: str | None = None


def caption_plainly(
    captioner: PictureCaptioner, files: Listing, batches: Iterable[np.ndarray], n: int, changes: Mapping[str, Any]
) -> Iterator[Outcome]:
    """Yield the outcomes of the pictures in batches of indices into `files`, in order."""
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
