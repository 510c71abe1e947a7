"""The nearest-neighbour baseline: a picture gets a caption of the most similar training picture.

After Devlin et al., "Exploring Nearest Neighbor Approaches for Image Captioning", 2015, with one neighbour. A model
that does not beat it is no better than copying training captions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from captioner.text.ptb import tokenize

if TYPE_CHECKING:
    from captioner.data.batches import Features


@runtime_checkable
class Streamed(Protocol):
    """Features in a stream, which must be read in one pass: reading a few at a time would read it many times."""

    def averaged(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features (n, channels) of pictures, averaged over their regions."""
        ...


AT_ONCE = 256  # pictures whose features are held in memory at a time


def nearest_captions(
    features: Features, references: Mapping[str, Sequence[str]], known: Sequence[str], asked: Sequence[str]
) -> dict[str, str]:
    """Return, for each picture in `asked`, a caption of the known picture whose features have the highest cosine.

    Of the known picture's captions, the one that shares most words with the others is chosen.

    Args:
        features: the features of all pictures; grids are averaged over their regions.
        references: image_id -> raw captions, at least for the known pictures.
        known: image_ids of the training pictures, each with a caption.
        asked: image_ids of the pictures to caption.
    """
    keys, queries = directions(features, known), directions(features, asked)  # (pictures, channels)
    found: dict[str, str] = {}
    for start in range(0, len(asked), AT_ONCE):
        part = asked[start : start + AT_ONCE]
        nearest = (queries[start : start + AT_ONCE] @ keys.T).argmax(axis=1)  # (part,)
        found |= {image_id: known[index] for image_id, index in zip(part, nearest, strict=True)}
    chosen = {image_id: _most_like_the_others(references[image_id]) for image_id in set(found.values())}
    return {image_id: chosen[neighbour] for image_id, neighbour in found.items()}


def nearest(
    features: Features, known: Sequence[str], asked: Sequence[str], count: int
) -> dict[str, list[tuple[str, float]]]:
    """Return, for each picture in `asked`, the `count` most similar known pictures, the nearest first.

    Args:
        features: the features of all pictures; grids are averaged over their regions. They are read in parts.
        known: image_ids to search.
        asked: image_ids to search for.
        count: neighbours per picture.

    Returns:
        image_id -> its neighbours, each with the cosine between the features of both.
    """
    queries = directions(features, asked)  # (asked, channels)
    best = np.full((len(asked), count), -np.inf, np.float32)
    places = np.zeros((len(asked), count), int)
    for start in range(0, len(known), AT_ONCE):
        part = directions(features, known[start : start + AT_ONCE])  # (part, channels)
        found = np.concatenate([best, queries @ part.T], axis=1)
        of_part = np.broadcast_to(np.arange(start, start + len(part)), (len(asked), len(part)))
        where = np.concatenate([places, of_part], axis=1)
        order = np.argsort(-found, axis=1, kind="stable")[:, :count]
        best, places = np.take_along_axis(found, order, 1), np.take_along_axis(where, order, 1)
    return {
        image_id: [
            (known[place], float(cosine)) for place, cosine in zip(row, cosines, strict=True) if cosine > -np.inf
        ]
        for image_id, row, cosines in zip(asked, places, best, strict=True)
    }


def directions(features: Features, ids: Sequence[str]) -> np.ndarray:
    """Return features normalized to length 1, (ids, channels) float32; grids are averaged over their regions first."""
    if isinstance(features, Streamed):
        return as_directions(features.averaged(ids))
    parts = (features.gather(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE))
    return np.concatenate([as_directions(part) for part in parts])


def averaged(features: np.ndarray) -> np.ndarray:
    """Return features (n, channels) or (n, regions, channels) averaged over regions: (n, channels) float32."""
    matrix = np.asarray(features, np.float32)
    return matrix.mean(axis=1) if matrix.ndim == 3 else matrix


def as_directions(features: np.ndarray) -> np.ndarray:
    """Return features (n, channels) or (n, regions, channels) averaged over regions and normalized to length 1."""
    matrix = averaged(features)
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)


def _most_like_the_others(captions: Sequence[str]) -> str:
    words = [Counter(tokenize(caption)) for caption in captions]

    def shared(index: int) -> float:
        own = words[index]
        return sum(
            2 * (own & other).total() / max(1, own.total() + other.total())
            for place, other in enumerate(words)
            if place != index
        )

    return captions[max(range(len(captions)), key=shared)]
