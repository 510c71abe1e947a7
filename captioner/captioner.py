"""Captioner: pictures in, captions out. The one object that users load, in one `.keras` file."""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import tree

from captioner.config import ConfigError, build, to_settings
from captioner.encoders.download import require_allowed
from captioner.encoders.encoder import Encoder, encoder_from_description, encoder_from_network
from captioner.encoders.trunk import clone_in
from captioner.generation.caption import Caption
from captioner.generation.config import GenerationConfig
from captioner.generation.decode import generate, make_search
from captioner.generation.options import settings_of
from captioner.generation.search import Search
from captioner.generation.word_rules import Numbers
from captioner.hub_presets import HUB
from captioner.images.pictures import picture_array
from captioner.keras_archive import require_captioner
from captioner.metrics.calibration import Calibration
from captioner.models import architectures  # registers every decoder for loading
from captioner.models.decoder import CaptionDecoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.picture_captioner import Facts, Picture, PictureCaptioner
from captioner.run_folder import captioner_file
from captioner.storage import DataError, atomic_path
from captioner.text.vocabulary import Vocabulary
from captioner.training.familiarity import Familiarity


@keras.saving.register_keras_serializable("captioner")
class Captioner(PictureCaptioner, keras.Model):
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
        network: the encoder's own network, where it is to travel in the file; see `with_encoder_inside`.
        familiarity: tells pictures that are unlike those of the training, or its JSON form; None where it is not known.

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
        network: keras.Model | None = None,
        familiarity: Familiarity | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decoder, self.network = decoder, network
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
        self.familiarity = (
            familiarity
            if isinstance(familiarity, Familiarity) or familiarity is None
            else Familiarity.from_json(familiarity)
        )
        # Made when first needed; in a namespace, because a dict's content would be saved with the model.
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
        return self.with_confidence(captions, features)

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
            if self._made.encoder is None and self.network is None:
                require_allowed(str(self.encoder_description.get("backbone", "")))
                self._made.encoder = encoder_from_description(self.encoder_description)
            elif self._made.encoder is None:
                self._made.encoder = encoder_from_network(self.network, self.encoder_description)
        return self._made.encoder

    def with_encoder_inside(self) -> Captioner:
        """Return this captioner with its encoder's network as a part of it.

        Its file is then all that it needs: neither a download nor a package of weights.

        Raises:
            DataError: see `find_encoder`; or the encoder is one that cannot be put into the file: a preset of KerasHub,
                or ConvNeXt's `pool`, which normalizes after its network.
        """
        encoder = self.find_encoder()
        backbone, layer = encoder.description["backbone"], encoder.description["layer"]
        if backbone.startswith(HUB) or (backbone.startswith("convnext") and layer == "pool"):
            raise DataError(f"{backbone} {layer}: this encoder cannot be put into the captioner's file")
        network = clone_in(encoder.network, "float32")
        parts = (self.decoder, self.vocabulary, self.encoder_description, self.generation, self.calibration)
        return Captioner(*parts, network=network, familiarity=self.familiarity)

    def facts(self) -> Facts:
        """See PictureCaptioner.facts."""
        fine_tuned = isinstance(self.decoder, FineTunedDecoder)
        kind = type(self.decoder.decoder if fine_tuned else self.decoder)
        name = next((name for name, known in architectures.DECODERS.items() if known is kind), kind.__name__)
        return Facts(name, self.decoder.count_params(), tuple(self.decoder.feature_shape))

    def find_encoders(self) -> tuple[Encoder, ...]:
        """Return the encoders that a picture goes through, here one; see `find_encoder`, and `arrange`."""
        return (self.find_encoder(),)

    def arrange(self, features: tuple[Any, ...]) -> Any:
        """Return what `caption_features` takes, of the features (pictures, ...) that each of `find_encoders` gave."""
        return features[0]

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

    def encode_prepared(self, pictures: Sequence[Any]) -> Any:
        """Return the features (pictures, ...) of pictures that `prepare` gave. Raises as `caption_prepared` does."""
        features = self.find_encoder().encode(np.stack(pictures))
        self.warn_of_unlike(features)
        return features

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
            "network": None if self.network is None else keras.saving.serialize_keras_object(self.network),
            "familiarity": self.familiarity.to_json() if self.familiarity is not None else None,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Captioner:
        """Build a captioner from what `get_config` gave."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("decoder", "network")
            if config.get(name) is not None
        }
        return cls(**{**config, **parts})


def load(path: str | os.PathLike[str]) -> Captioner:
    """Load a trained captioner from a run folder or a `.keras` file.

    Raises:
        DataError: there is none at `path`, it is broken, or it was saved by something else.
    """
    path = Path(path)
    file = captioner_file(path)
    require_captioner(file)
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
