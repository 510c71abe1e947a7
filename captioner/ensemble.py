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
    """Captioners with one vocabulary; at every step, the log-probabilities of the words are averaged.

    Architectures, features and encoders may differ. The first member's generation settings are the defaults. The
    ensemble's features are tuples with one entry per member. An ensemble cannot be saved, only its members.

    Args:
        members: two or more captioners.
        names: the members' names in messages, such as their run folders.

    Raises:
        DataError: two members have different vocabularies.
    """

    def __init__(self, members: Sequence[Captioner], names: Sequence[str | Path]) -> None:
        first = members[0].vocabulary
        for member, name in zip(members, names, strict=True):
            if member.vocabulary.words != first.words:
                raise DataError(
                    f"{name}: has a different vocabulary than {names[0]} ({len(member.vocabulary)} words against "
                    f"{len(first)}, {_first_difference(first.words, member.vocabulary.words)}); train all members of "
                    "an ensemble on the same captions with the same text settings"
                )
        # The averaged log-probabilities are close to the first member's, so its calibration is used.
        super().__init__(
            EnsembleDecoder([member.decoder for member in members]),
            first,
            None,
            members[0].generation,
            members[0].calibration,
        )
        self.members = list(members)
        self.similar = members[0].similar
        descriptions = [member.encoder_description for member in members]
        # Members with the same encoder share its work: each has the index of the first member with that encoder.
        self._encoded_by = [
            next((index for index, other in enumerate(descriptions[:own]) if _same(other, description)), own)
            for own, description in enumerate(descriptions)
        ]

    def prepare(self, picture: Picture, name: str = "the picture") -> Any:
        """See Captioner.prepare: one array per different encoder."""
        if isinstance(picture, tuple):
            return picture
        if hasattr(picture, "read"):  # an open file can only be read once
            picture = picture.read()
        return tuple(self.members[index].prepare(picture, name) for index in sorted(set(self._encoded_by)))

    def encode_prepared(self, pictures: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        """See Captioner.encode_prepared: one array per member."""
        for member in self.members:
            member.tells_of_unlike = member.tells_of_unlike and self.tells_of_unlike
        prepared = zip(*pictures, strict=True)
        features = {
            index: self.members[index].encode_prepared(own)
            for index, own in zip(sorted(set(self._encoded_by)), prepared, strict=True)
        }
        return tuple(features[index] for index in self._encoded_by)

    def strangeness(self, features: Any) -> list[float]:
        """See PictureCaptioner.strangeness: the first member's values, because its calibration is used."""
        return self.members[0].strangeness(features[0])

    def vectors(self, features: Any) -> np.ndarray:
        """See Captioner.vectors: the first member's, because its similar pictures are used."""
        return self.members[0].vectors(features[0])

    def find_encoders(self) -> tuple[Encoder, ...]:
        """See Captioner.find_encoders: one per different encoder."""
        return tuple(self.members[index].find_encoder() for index in sorted(set(self._encoded_by)))

    def arrange(self, features: tuple[Any, ...]) -> tuple[Any, ...]:
        """See Captioner.arrange: one array per member."""
        own = dict(zip(sorted(set(self._encoded_by)), features, strict=True))
        return tuple(own[index] for index in self._encoded_by)


class JointFeatures:
    """The members' feature files side by side."""

    description = None

    def __init__(self, stores: Sequence[Features]) -> None:
        self.stores = list(stores)

    def gather(self, ids: Sequence[str]) -> tuple[np.ndarray, ...]:
        """See FeatureStore.gather: one array per member."""
        return tuple(store.gather(ids) for store in self.stores)


def _same(one: Any, other: Any) -> bool:
    return one is not None and other is not None and not differences(one, other)


def _first_difference(one: Sequence[str], other: Sequence[str]) -> str:
    for number, (word, another) in enumerate(zip(one, other, strict=False)):
        if word != another:
            return f"word {number} is {another!r} against {word!r}"
    return "one is the beginning of the other"
