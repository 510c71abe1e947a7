"""The Python interface for captioning pictures, independent of what runs the networks. Imports no Keras."""

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
from captioner.text.cleaning import words_of
from captioner.training.familiarity import Familiarity
from captioner.training.similar_pictures import FEWEST, SimilarPictures

logger = logging.getLogger(__name__)

PICTURES_AT_ONCE = 32  # decoded pictures held in memory at a time

Picture = Any  # see captioner.images.pictures.picture_array; or the result of `prepare`


class Facts(NamedTuple):
    """Facts about a captioner.

    Attributes:
        architecture: its name in recipes.
        weights: number of the decoder's weights.
        feature_shape: shape of a picture's features; it has two dimensions if the captioner uses regions.
    """

    architecture: str
    weights: int
    feature_shape: tuple[int, ...]


class PictureCaptioner(ABC):
    """Base class with the methods that caption pictures; subclasses implement search, preparing, encoding and captions.

    Attributes:
        generation: the default generation settings.
        vocabulary: the words of the captions; a Vocabulary, except for models of KerasHub.
        calibration: converts log-probabilities to confidence; None if the captioner was trained without it.
        familiarity: detects pictures that are unlike those of the training; None if not available.
        similar: finds training pictures that look like a picture, with their captions; None if not available.
        encoder_description: description of the encoder for pictures; None if it is not known.
        batch_size: number of pictures per batch; None to choose it by the machine and the work.
        tells_of_unlike: whether to log that pictures are unlike those of the training; it is logged once.
    """

    generation: GenerationConfig
    vocabulary: Any
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None
    similar: SimilarPictures | None = None
    encoder_description: dict[str, Any] | None = None
    batch_size: int | None = None
    tells_of_unlike: bool = True

    @abstractmethod
    def facts(self) -> Facts:
        """Return facts about this captioner."""

    @abstractmethod
    def search(self, n: int = 1, **changes: Any) -> Any:
        """Return the search for `n` captions per picture. Raises ConfigError if a setting is impossible."""

    @abstractmethod
    def caption_features(self, features: Any, n: int = 1, first: Numbers = 0, **changes: Any) -> list[list[Caption]]:
        """Caption pictures by their features (pictures, ...); return the captions of each, best first."""

    @abstractmethod
    def prepare(self, picture: Picture, name: str = "the picture") -> Any:
        """Decode a picture, see `caption`, and resize it for the encoder."""

    @abstractmethod
    def encode_prepared(self, pictures: Sequence[Any]) -> Any:
        """Return the features (pictures, ...) of prepared pictures."""

    def wide_search(self, n: int = 1, **changes: Any) -> Any:
        """Return the search for `chosen`: for `n` captions, or for the whole beam if consensus decides.

        Raises:
            ConfigError: see `search`; or consensus is asked for without similar pictures.
        """
        config = self.search(n, **changes).config
        if self.similar is None and changes.get("consensus"):
            raise ConfigError(
                "consensus: this captioner has no captions of training pictures to compare with; train it again (on "
                f"{FEWEST} pictures or more, with train.keep_captions), or leave consensus out"
            )
        chooses = self.similar is not None and config.by_consensus
        return self.search(max(n, config.beam_size) if chooses else n, **changes)

    def chosen(
        self,
        captions: Sequence[Sequence[Caption]],
        features: Any,
        vectors: np.ndarray | None,
        n: int,
        config: GenerationConfig,
    ) -> list[list[Caption]]:
        """Return the best `n` captions of each picture, with their consensus and confidence if they are known.

        Args:
            captions: the captions of each picture from `wide_search`, best first.
            features: the pictures' features, (pictures, ...).
            vectors: the pictures' vectors, see Captioner.vectors; only needed with similar pictures.
            n: captions per picture.
            config: how the captions were generated.
        """
        found = [list(several) for several in captions]
        if self.similar is not None and vectors is not None:
            rules = self.vocabulary.rules
            words = [[words_of(each.text, rules) for each in several] for several in found]
            values = self.similar.consensus(vectors, words)
            found = [
                [_with_consensus(each, float(value), config) for each, value in zip(several, own, strict=True)]
                for several, own in zip(found, values, strict=True)
            ]
            if config.by_consensus:
                found = [sorted(several, key=lambda each: -(each.score or 0.0))[:n] for several in found]
        known = self.calibration
        if known is None:
            return found
        return [
            [
                replace(
                    each,
                    confidence=known.confidence(each.log_prob, len(each.tokens), strange, each.consensus or 0.0),
                )
                for each in several
            ]
            for several, strange in zip(found, self.strangeness(features), strict=True)
        ]

    def strangeness(self, features: Any) -> list[float]:
        """Return how unlike those of the training pictures are, from their features; 0 for each if not available."""
        if self.familiarity is None:
            return [0.0] * len(features)
        return [float(value) for value in self.familiarity.strangeness(np.asarray(features))]

    def warn_of_unlike(self, features: Any) -> None:
        """Log, once, that pictures are unlike those of the training, from their features (pictures, ...)."""
        if not self.tells_of_unlike or self.familiarity is None or not self.familiarity.unlike(features).any():
            return
        self.tells_of_unlike = False
        logger.warning(
            "some of these pictures are unlike the pictures that this captioner was trained on; their captions are "
            "probably wrong"
        )

    def caption(
        self, pictures: Picture | Iterable[Picture], n: int = 1, first: int = 0, **options: Unpack[GenerationOptions]
    ) -> Any:
        """Caption one picture or several.

            model = captioner.load("runs/captioner")
            model.caption("a.jpg").text                         # one picture: one Caption
            model.caption(["a.jpg", "b.jpg"])                   # a list of pictures: a list of Captions
            model.caption("a.jpg", n=3)                         # the three best captions: a list of Captions
            model.caption("a.jpg", sample=True, top_p=0.9, seed=1)
            model.caption(array, beam_size=5, banned_words=["man"])

        A Caption has `text`, `tokens`, `log_prob` and `score` (the ranking criterion). It has `attention` if the model
        uses regions. If the model was trained with it, a Caption also has `confidence`, from 0 to 1: the probability
        that the caption is better than the model's median caption on the dev split.

        Args:
            pictures: a picture, or a list of pictures. A picture is a path, an encoded picture as bytes or an open
                binary file, a Pillow picture, or an array (height, width) or (height, width, 1 to 4) of uint8, or of
                floats from 0 to 1; an array of four dimensions is a list of pictures.
            n: captions per picture, best first. If n is above the default beam size and no beam size is given, a wider
                beam is used.
            first: the number of the first picture if other calls caption more pictures; sampling depends on the number
                and the seed.
            options: settings that differ from the captioner's own (see `model.generation`). They are the options of
                captioner predict, with _ for -:

                beam_size: hypotheses kept per picture; 1 is greedy search.
                max_length: maximum number of words, including the end token.
                normalization: how scores are normalized by length: "average", "wu" or "none".
                length_penalty: higher values give longer captions.
                groups, diversity: diverse beam search: number of groups, and penalty for words that other groups chose.
                sample: True samples words at random instead of beam search.
                temperature, top_k, top_p, seed: sampling settings; each of them switches sampling on.
                min_length: minimum number of words.
                no_repeat_ngram: no sequence of this many words may occur twice in a caption.
                banned_words: list of words that no caption may contain.
                bad_endings: list of words that no caption may end with, or "english".
                allow_unk: True allows <unk> in captions.
                start: words that every caption begins with.
                must_include: list of words that every caption must contain; "dog|dogs" requires either word.
                prompt: the prompt for a KerasHub model; other models do not accept it.
                consensus: weight of the agreement with the captions of similar training pictures.

        Returns:
            for one picture a Caption, or a list of Captions, best first, if n is above 1; for a list of pictures, a
            list of these results. If there is no caption for a picture, its text is empty and its log_prob is minus
            infinity (or its list is shorter, if n is above 1).

        Raises:
            ConfigError: an option's value is impossible.
            DataError: a picture cannot be read, or the encoder is not available.
            TypeError: an option does not exist, or an input is not a picture.
        """
        alone = is_one_picture(pictures)
        found: list[Any] = self.caption_batch([pictures] if alone else pictures, n, first, **options)
        if n == 1:
            found = [captions[0] if captions else Caption("", (), float("-inf")) for captions in found]
        return found[0] if alone else found

    def caption_batch(
        self, pictures: Iterable[Picture], n: int = 1, first: int = 0, **options: Unpack[GenerationOptions]
    ) -> list[list[Caption]]:
        """Return a list of captions for each picture, best first, also if n is 1; see `caption`."""
        if not isinstance(pictures, Iterable):
            raise TypeError(f"pictures: expected a picture or a list of pictures, found {type(pictures).__name__}")
        pictures, changes = list(pictures), self.widened(n, options)
        self.wide_search(n, **changes)  # reports an impossible option before any picture is read
        captions: list[list[Caption]] = []
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            part = enumerate(pictures[start : start + PICTURES_AT_ONCE], start)
            named = "the picture" if len(pictures) == 1 else "picture {}"
            prepared = [self.prepare(picture, named.format(index)) for index, picture in part]
            captions += self.caption_prepared(prepared, n, first + start, **changes)
        return captions

    def widened(self, n: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings for options, with a beam that is wide enough for `n` captions if no beam size is given.

        Raises:
            ConfigError, TypeError: as `settings_of` does, or n is not a valid number of captions.
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
        """Caption pictures that `prepare` has already decoded and resized, in one batch.

        A server uses it to decode pictures in other threads while the network is busy in this one.

        Args:
            pictures: the results of `prepare`: (height, width, 3) uint8 of the encoder's size, or a tuple of such
                arrays for an ensemble.
            n, changes: see `search`; the options are described in `caption`.
            first: see `caption_features`.

        Returns:
            for each picture its captions, best first.

        Raises:
            ConfigError: see `search`.
            DataError: the encoder is not available.
            ValueError: a picture has another size or type than the encoder expects.
        """
        if not len(pictures):
            return []
        return self.caption_features(self.encode_prepared(pictures), n, first, **changes)

    def encode(self, pictures: Sequence[Picture]) -> Any:
        """Return the features (pictures, ...) of a few pictures. Raises DataError as `caption` does."""
        return self.encode_prepared([self.prepare(picture) for picture in pictures])


def _with_consensus(caption: Caption, value: float, config: GenerationConfig) -> Caption:
    weight = config.consensus if config.by_consensus else 0.0
    return replace(caption, consensus=value, score=None if caption.score is None else caption.score + weight * value)
