"""Several trained captioners that caption together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioner.captioner import Captioner
from captioner.data.batches import Features
from captioner.encoders.config import differences
from captioner.encoders.encoder import Encoder
from captioner.generation.ensemble import EnsembleDecoder
from captioner.picture_captioner import Picture
from captioner.storage import DataError


class Ensemble(Captioner):
    """Captioners with one vocabulary; at every step their words' log-probabilities are averaged.

    Architectures, features and encoders may differ. The first one's generation settings are the defaults. Its features
    are tuples, one entry a member. It lives as long as the program: it is not saved, its members are.

    Args:
        members: two or more captioners.
        names: what messages call them, such as their run folders.

    Raises:
        DataError: two have different vocabularies.
    """

    def __init__(self, members: Sequence[Captioner], names: Sequence[str | Path]) -> None:
        first = members[0].vocabulary
        for member, name in zip(members, names, strict=True):
            if member.vocabulary.words != first.words:
                raise DataError(
                    f"{name}: has another vocabulary than {names[0]} ({len(member.vocabulary)} words against "
                    f"{len(first)}, {_first_difference(first.words, member.vocabulary.words)}); an ensemble needs one: "
                    "train its members on the same captions with the same text settings"
                )
        # The members' mean log-probabilities are about the first one's, and so is what they say about a caption.
        super().__init__(
            EnsembleDecoder([member.decoder for member in members]),
            first,
            None,
            members[0].generation,
            members[0].calibration,
        )
        self.members = list(members)
        descriptions = [member.encoder_description for member in members]
        # Members whose features come from one encoder share its work: each has the number of the first such member.
        self._encoded_by = [
            next((index for index, other in enumerate(descriptions[:own]) if _same(other, description)), own)
            for own, description in enumerate(descriptions)
        ]

    def prepare(self, picture: Picture, name: str = "the picture") -> Any:
        """See Captioner.prepare: as many arrays as there are different encoders."""
        if isinstance(picture, tuple):
            return picture
        if hasattr(picture, "read"):  # an open file can be read once
            picture = picture.read()
        return tuple(self.members[index].prepare(picture, name) for index in sorted(set(self._encoded_by)))

    def encode_prepared(self, pictures: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        """See Captioner.encode_prepared: one array a member."""
        prepared = zip(*pictures, strict=True)
        features = {
            index: self.members[index].encode_prepared(own)
            for index, own in zip(sorted(set(self._encoded_by)), prepared, strict=True)
        }
        return tuple(features[index] for index in self._encoded_by)

    def strangeness(self, features: Any) -> list[float]:
        """See PictureCaptioner.strangeness: the first member's, as the calibration is."""
        return self.members[0].strangeness(features[0])

    def find_encoders(self) -> tuple[Encoder, ...]:
        """See Captioner.find_encoders: as many as differ."""
        return tuple(self.members[index].find_encoder() for index in sorted(set(self._encoded_by)))

    def arrange(self, features: tuple[Any, ...]) -> tuple[Any, ...]:
        """See Captioner.arrange: one array a member."""
        own = dict(zip(sorted(set(self._encoded_by)), features, strict=True))
        return tuple(own[index] for index in self._encoded_by)


class JointFeatures:
    """The members' feature files side by side."""

    description = None

    def __init__(self, stores: Sequence[Features]) -> None:
        self.stores = list(stores)

    def gather(self, ids: Sequence[str]) -> tuple[np.ndarray, ...]:
        """See FeatureStore.gather: one array a member."""
        return tuple(store.gather(ids) for store in self.stores)


def _same(one: Any, other: Any) -> bool:
    return one is not None and other is not None and not differences(one, other)


def _first_difference(one: Sequence[str], other: Sequence[str]) -> str:
    for number, (word, another) in enumerate(zip(one, other, strict=False)):
        if word != another:
            return f"word {number} is {another!r} against {word!r}"
    return "one begins with the other"
