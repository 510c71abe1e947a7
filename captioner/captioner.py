"""Captioner: pictures in, captions out. The one object that users load, in one `.keras` file."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Unpack

import keras
import numpy as np
from keras import tree

from captioner.config import ConfigError, build, to_settings
from captioner.encoders.download import require_allowed
from captioner.encoders.encoder import Encoder, encoder_from_description
from captioner.generation.config import GenerationConfig
from captioner.generation.decode import Caption, generate, make_search
from captioner.generation.options import GenerationOptions, settings_of
from captioner.generation.search import Numbers, Search
from captioner.images.pictures import is_one_picture, picture_array
from captioner.metrics.calibration import Calibration
from captioner.models import architectures  # noqa: F401  (registers every decoder for loading)
from captioner.models.decoder import CaptionDecoder
from captioner.run_folder import CAPTIONER
from captioner.storage import DataError, atomic_path
from captioner.text.vocabulary import Vocabulary

PICTURES_AT_ONCE = 32  # decoded pictures held in memory at a time

Picture = Any  # see captioner.images.pictures.picture_array; or what `prepare` gave


@keras.saving.register_keras_serializable("captioner")
class Captioner(keras.Model):
    """An encoder, a decoder, their vocabulary and how captions are generated, kept together.

    The encoder is held by its description and its weights' digest; its weights are found again when the first picture
    comes. Captioning from features needs no encoder.

    Args:
        decoder: the trained decoder.
        vocabulary: the decoder's, or its JSON form.
        encoder: the description of the encoder whose features the decoder was trained on; None where the features
            came without one.
        generation: the defaults of generation, or their settings.
        calibration: makes captions' confidence of their log-probabilities, or its values; None for captions without.

    Raises:
        DataError: the vocabulary has another size than the decoder's weights.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        vocabulary: Vocabulary | Mapping[str, Any],
        encoder: Mapping[str, Any] | None,
        generation: GenerationConfig | Mapping[str, Any],
        calibration: Calibration | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decoder = decoder
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary.from_json(vocabulary)
        if len(self.vocabulary) != decoder.vocabulary_size:
            raise DataError(
                f"the vocabulary has {len(self.vocabulary)} words and the decoder {decoder.vocabulary_size}: "
                "they were not trained together"
            )
        self.encoder_description = None if encoder is None else dict(encoder)
        self.generation = (
            generation
            if isinstance(generation, GenerationConfig)
            else build(GenerationConfig, generation, "generation")
        )
        self.calibration = (
            calibration
            if calibration is None or isinstance(calibration, Calibration)
            else build(Calibration, calibration, "calibration")
        )
        # Made when first needed; in a namespace, because what stands in a dict would be saved with the model.
        self._made = SimpleNamespace(encoder=None, searches={}, lock=threading.RLock())
        self.built = True

    def call(self, features: Any) -> dict[str, Any]:
        """Generate captions for features (pictures, ...) with the defaults; see captioner.generation.search.Search."""
        return self.search().call(features)

    def search(self, n: int = 1, **changes: Any) -> Search:
        """Return the search that gives `n` captions a picture, compiled once.

        Args:
            n: captions a picture.
            changes: options that differ from the defaults, see `caption`.

        Raises:
            ConfigError: a setting is impossible, or n is above the beam size.
            TypeError: there is no such option.
        """
        config = build(GenerationConfig, {**to_settings(self.generation), **settings_of(changes)})
        try:
            with self._made.lock:
                if (n, config) not in self._made.searches:
                    self._made.searches[n, config] = make_search(self.decoder, config, n, self.vocabulary)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return self._made.searches[n, config]

    def caption_features(self, features: Any, n: int = 1, first: Numbers = 0, **changes: Any) -> list[list[Caption]]:
        """Caption pictures by their features.

        Args:
            features: (pictures, channels) or (pictures, regions, channels) float32.
            n, changes: see `search`.
            first: the number of the first picture, when more come in other calls, or (pictures,) the number of each:
                sampling draws by it and the seed.

        Returns:
            for each picture its captions, best first.

        Raises:
            ConfigError: see `search`.
            DataError: the features have another shape than those of the training.
        """
        expected = self.decoder.feature_shape
        found = tree.map_structure(lambda leaf: tuple(leaf.shape[1:]), features)
        if found != expected:
            raise DataError(f"features: this captioner takes {expected} a picture, found {found}")
        captions = generate(self.search(n, **changes), features, self.vocabulary, first)
        return [[self.with_confidence(caption) for caption in several] for several in captions]

    def with_confidence(self, caption: Caption) -> Caption:
        """Return a caption with its confidence, where this captioner can tell."""
        if self.calibration is None:
            return caption
        sure = self.calibration.confidence(caption.log_prob, len(caption.tokens))
        return replace(caption, confidence=sure)

    def find_encoder(self) -> Encoder:
        """Return the encoder, built and its weights found when first asked for.

        A method, because Keras, loading and saving a model, asks for the value of each of its properties.

        Raises:
            DataError: it is not known, or its weights cannot be had or are others than in training.
        """
        if self.encoder_description is None:
            raise DataError(
                "this captioner was trained on features that did not say which encoder made them, so it cannot caption "
                "pictures; extract the features with captioner extract and train again"
            )
        with self._made.lock:  # threads that ask at once would each build one
            if self._made.encoder is None:
                require_allowed(str(self.encoder_description.get("backbone", "")))
                self._made.encoder = encoder_from_description(self.encoder_description)
        return self._made.encoder

    def find_encoders(self) -> tuple[Encoder, ...]:
        """Return the encoders that a picture goes through, here one; see `find_encoder`, and `arrange`."""
        return (self.find_encoder(),)

    def arrange(self, features: tuple[Any, ...]) -> Any:
        """Return what `caption_features` takes, of the features (pictures, ...) that each of `find_encoders` gave."""
        return features[0]

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
        """Return the settings that options mean, with a beam for `n` captions where nobody says how wide it is to be.

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

    def prepare(self, picture: Picture, name: str = "the picture") -> Any:
        """Decode a picture, see `caption`, and bring it to the encoder's size; a prepared one stays as it is.

        Args:
            picture: see `caption`.
            name: what errors call a picture that has no path.

        Raises:
            DataError: the picture cannot be read, or the encoder cannot be had.
            TypeError: it is no picture.
        """
        encoder = self.find_encoder()
        return encoder.prepare(picture_array(picture, name, at_least=encoder.input_size))

    def caption_prepared(
        self, pictures: Sequence[Any], n: int = 1, first: int = 0, **changes: Any
    ) -> list[list[Caption]]:
        """Caption pictures that `prepare` has decoded and resized already, in one batch.

        The entry for those who decode in threads of their own, such as a server: decoding goes on there while the
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

    def encode_prepared(self, pictures: Sequence[Any]) -> Any:
        """Return the features (pictures, ...) of pictures that `prepare` gave. Raises as `caption_prepared` does."""
        return self.find_encoder().encode(np.stack(pictures))

    def save_to(self, path: str | Path) -> None:
        """Save to a `.keras` file, atomically: `keras.Model.save` alone leaves half a file when it is killed."""
        with atomic_path(path) as temporary:
            self.save(temporary)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "vocabulary": self.vocabulary.to_json(),
            "encoder": self.encoder_description,
            "generation": to_settings(self.generation),
            "calibration": None if self.calibration is None else to_settings(self.calibration),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Captioner:
        """Build a captioner from what `get_config` gave."""
        decoder = keras.saving.deserialize_keras_object(config["decoder"], custom_objects=custom_objects)
        return cls(**{**config, "decoder": decoder})


def load(path: str | Path) -> Captioner:
    """Load a trained captioner from a run folder or a `.keras` file.

    Raises:
        DataError: there is none at `path`, it is broken, or it was saved by something else.
    """
    path = Path(path)
    file = path / CAPTIONER if path.is_dir() else path
    if not file.is_file():
        where = f"{path} is not a run folder: it has no {CAPTIONER}" if path.is_dir() else f"{path}: no such file"
        raise DataError(f"{where}; captioner train -o {path} makes one")
    try:
        loaded = keras.saving.load_model(file, compile=False)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except Exception as error:  # a broken archive raises nearly anything
        raise DataError(f"{file}: cannot be loaded as a captioner ({_first_line(error)}); train it again") from error
    if not isinstance(loaded, Captioner):
        raise DataError(f"{file}: holds a {type(loaded).__name__}, not a captioner; captioner train makes one")
    return loaded


def _first_line(error: Exception) -> str:
    return textwrap.shorten((str(error).strip().splitlines() or [type(error).__name__])[0], 120)
