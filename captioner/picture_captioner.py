"""How pictures are captioned in Python, whatever runs the networks. Imports no Keras."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Unpack

import numpy as np

from captioner.config import ConfigError
from captioner.generation.caption import Caption
from captioner.generation.config import GenerationConfig
from captioner.generation.options import GenerationOptions, settings_of
from captioner.generation.word_rules import Numbers
from captioner.images.pictures import is_one_picture
from captioner.metrics.calibration import Calibration
from captioner.training.familiarity import Familiarity

logger = logging.getLogger(__name__)

PICTURES_AT_ONCE = 32  # decoded pictures held in memory at a time

Picture = Any  # see captioner.images.pictures.picture_array; or what `prepare` gave


class Facts(NamedTuple):
    """What a captioner is made of.

    Attributes:
        architecture: its name in recipes.
        weights: of the decoder, how many.
        feature_shape: of a picture's features; of two dimensions where the captioner looks at regions.
    """

    architecture: str
    weights: int
    feature_shape: tuple[int, ...]


class PictureCaptioner(ABC):
    """The calls that caption pictures; a subclass searches, prepares a picture, encodes some, and captions features.

    Attributes:
        generation: the defaults of generation.
        calibration: from log-probabilities to confidence; None where the captioner was trained without.
        familiarity: tells pictures that are unlike those of the training; None where it is not known.
        encoder_description: which encoder it takes pictures through; None where that is not known.
        batch_size: how many pictures it takes at a time; None where that is chosen by the machine and the work.
        tells_of_unlike: whether it still logs that pictures are unlike those of the training; it does so once.
    """

    generation: GenerationConfig
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None
    encoder_description: dict[str, Any] | None = None
    batch_size: int | None = None
    tells_of_unlike: bool = True

    @abstractmethod
    def facts(self) -> Facts:
        """Return what this captioner is made of."""

    @abstractmethod
    def search(self, n: int = 1, **changes: Any) -> Any:
        """Return the search that gives `n` captions a picture; raises ConfigError where a setting is impossible."""

    @abstractmethod
    def caption_features(self, features: Any, n: int = 1, first: Numbers = 0, **changes: Any) -> list[list[Caption]]:
        """Caption pictures by their features (pictures, ...): for each its captions, best first."""

    @abstractmethod
    def prepare(self, picture: Picture, name: str = "the picture") -> Any:
        """Decode a picture, see `caption`, and bring it to the encoder's size."""

    @abstractmethod
    def encode_prepared(self, pictures: Sequence[Any]) -> Any:
        """Return the features (pictures, ...) of pictures that `prepare` gave."""

    def with_confidence(self, captions: Sequence[Sequence[Caption]], features: Any) -> list[list[Caption]]:
        """Return pictures' captions with their confidence, where this captioner can tell.

        Args:
            captions: of each picture.
            features: the pictures', (pictures, ...).
        """
        known = self.calibration
        if known is None:
            return [list(several) for several in captions]
        strange = self.strangeness(features)
        return [
            [replace(each, confidence=known.confidence(each.log_prob, len(each.tokens), how)) for each in several]
            for several, how in zip(captions, strange, strict=True)
        ]

    def strangeness(self, features: Any) -> list[float]:
        """Return how unlike the training's pictures are, from their features; 0 each where that is not known."""
        if self.familiarity is None:
            return [0.0] * len(features)
        return [float(value) for value in self.familiarity.strangeness(np.asarray(features))]

    def warn_of_unlike(self, features: Any) -> None:
        """Log, once, that pictures are unlike those of the training, from their features (pictures, ...)."""
        if not self.tells_of_unlike or self.familiarity is None or not self.familiarity.unlike(features).any():
            return
        self.tells_of_unlike = False
        logger.warning(
            "some of these pictures are unlike the pictures that this captioner was trained on; what it says of them "
            "is likely to be wrong"
        )

    def caption(
        self, pictures: Picture | Iterable[Picture], n: int = 1, first: int = 0, **options: Unpack[GenerationOptions]
    ) -> Any:
        """Caption one picture or several.

            model = captioner.load("runs/captioner")
            model.caption("a.jpg").text                         # one picture: one Caption
            model.caption(["a.jpg", "b.jpg"])                   # a list: a list of Captions
            model.caption("a.jpg", n=3)                         # the three best: a list of Captions
            model.caption("a.jpg", sample=True, top_p=0.9, seed=1)
            model.caption(array, beam_size=5, banned_words=["man"])

        A Caption has `text`, `tokens`, `log_prob`, `score` (what captions are ranked by), where the model looks at
        regions `attention`, and where it was trained with it `confidence`: from 0 to 1 the chance that the caption is
        better than the model's median one on the dev split.

        Args:
            pictures: a picture, or a list of pictures. A picture is a path, an encoded picture as bytes or an open
                binary file, a Pillow picture, or an array (height, width) or (height, width, 1 to 4) of uint8, or of
                floats from 0 to 1; an array of four dimensions is a list of pictures.
            n: captions a picture, best first. Where it is above the beam size, and none is given, the beam is widened.
            first: the number of the first picture, when more come in other calls: sampling draws by it and the seed.
            options: what differs from the captioner's own settings (`model.generation` shows them); the options of
                captioner predict, with _ for -:

                beam_size: hypotheses kept per picture; 1 is greedy search.
                max_length: the most words of a caption, its end included.
                normalization: how lengths are made comparable: "average", "wu" or "none".
                length_penalty: the higher, the longer the captions.
                groups, diversity: diverse beam search in so many groups, and how much a group avoids others' words.
                sample: True draws words by chance, without a beam.
                temperature, top_k, top_p, seed: of sampling; each of them switches it on.
                min_length: the fewest words of a caption.
                no_repeat_ngram: no sequence of so many words twice in a caption.
                banned_words: words that no caption holds, a list.
                bad_endings: words that no caption ends with, a list, or "english".
                allow_unk: True lets captions hold <unk>.
                start: words that every caption begins with.
                must_include: words that every caption holds, a list; "dog|dogs" is one or the other.
                prompt: what a model of KerasHub is asked; no other model takes one.

        Returns:
            for one picture a Caption, or for n above 1 a list of Captions, best first; for a list of pictures a list
            with that of each. Where a model has no caption at all for a picture, its text is empty and its log_prob
            minus infinity (with n above 1 the list is shorter).

        Raises:
            ConfigError: an option's value is impossible.
            DataError: a picture cannot be read, or the encoder cannot be had.
            TypeError: there is no such option, or something is no picture.
        """
        alone = is_one_picture(pictures)
        found: list[Any] = self.caption_batch([pictures] if alone else pictures, n, first, **options)
        if n == 1:
            found = [captions[0] if captions else Caption("", (), float("-inf")) for captions in found]
        return found[0] if alone else found

    def caption_batch(
        self, pictures: Iterable[Picture], n: int = 1, first: int = 0, **options: Unpack[GenerationOptions]
    ) -> list[list[Caption]]:
        """Return for each of several pictures the list of its captions, best first, whatever n is; see `caption`."""
        if not isinstance(pictures, Iterable):
            raise TypeError(f"pictures: expected a picture or a list of pictures, found {type(pictures).__name__}")
        pictures, changes = list(pictures), self.widened(n, options)
        self.search(n, **changes)  # an impossible option is said before any picture is read
        captions: list[list[Caption]] = []
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            part = enumerate(pictures[start : start + PICTURES_AT_ONCE], start)
            named = "the picture" if len(pictures) == 1 else "picture {}"
            prepared = [self.prepare(picture, named.format(index)) for index, picture in part]
            captions += self.caption_prepared(prepared, n, first + start, **changes)
        return captions

    def widened(self, n: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that options mean, with a beam for `n` captions where no beam size is given.

        Raises:
            ConfigError, TypeError: as `settings_of` does, or n is no number of captions.
        """
        if not isinstance(n, int) or n < 1:
            raise ConfigError(f"n must be a whole number, 1 or more, found {n!r}")
        settings = settings_of(options)
        sampling = settings.get("sampling", self.generation.sampling)
        if sampling or "beam_size" in settings or n <= self.generation.beam_size:
            return settings
        groups = settings.get("groups", self.generation.groups)
        return {**settings, "beam_size": -(-n // groups) * groups}

    def caption_prepared(
        self, pictures: Sequence[Any], n: int = 1, first: int = 0, **changes: Any
    ) -> list[list[Caption]]:
        """Caption pictures that `prepare` has decoded and resized already, in one batch.

        The entry for those who decode in threads of their own, such as a server: decoding runs there while the
        network is busy here.

        Args:
            pictures: what `prepare` gave for each: (height, width, 3) uint8 of the encoder's size; of an ensemble a
                tuple of such.
            n, changes: see `search`; `caption` says what the options are.
            first: see `caption_features`.

        Returns:
            for each picture its captions, best first.

        Raises:
            ConfigError: see `search`.
            DataError: the encoder cannot be had.
            ValueError: a picture has another size or type than the encoder's.
        """
        if not len(pictures):
            return []
        return self.caption_features(self.encode_prepared(pictures), n, first, **changes)

    def encode(self, pictures: Sequence[Picture]) -> Any:
        """Return the features (pictures, ...) of a few pictures. Raises DataError as `caption` does."""
        return self.encode_prepared([self.prepare(picture) for picture in pictures])
