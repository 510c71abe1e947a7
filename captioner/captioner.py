"""Captioner, the object that users load to caption pictures, stored in one `.keras` file."""

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

from captioner.config import build, to_settings
from captioner.encoders.download import require_allowed
from captioner.encoders.encoder import Encoder, encoder_from_description, encoder_from_network
from captioner.encoders.trunk import clone_in
from captioner.generation.caption import Caption
from captioner.generation.config import GenerationConfig
from captioner.generation.decode import generate, make_search
from captioner.generation.options import settings_of
from captioner.generation.search import Search
from captioner.generation.searches import Searches
from captioner.generation.word_rules import Numbers
from captioner.hub_presets import HUB
from captioner.images.pictures import picture_array
from captioner.keras_archive import require_captioner
from captioner.metrics.calibration import Calibration
from captioner.models import architectures  # registers every decoder for loading
from captioner.models.decoder import CaptionDecoder
from captioner.models.fine_tuned import FineTunedDecoder, MeanRegion
from captioner.picture_captioner import Facts, Picture, PictureCaptioner
from captioner.run_folder import captioner_file
from captioner.storage import DataError, atomic_path
from captioner.text.vocabulary import Vocabulary
from captioner.training.baseline import averaged
from captioner.training.familiarity import Familiarity
from captioner.training.similar_pictures import SimilarPictures


@keras.saving.register_keras_serializable("captioner")
class Captioner(PictureCaptioner, keras.Model):
    """An encoder, a decoder, their vocabulary and the generation settings, kept together.

    The encoder is stored as a description with its weights' digest; its weights are loaded when the first picture is
    captioned. Captioning from features needs no encoder.

    Args:
        decoder: the trained decoder.
        vocabulary: the decoder's vocabulary, or its JSON form.
        encoder: the description of the encoder whose features the decoder was trained on; None if the features had no
            description.
        generation: the default generation settings, as a config or a mapping.
        calibration: converts log-probabilities to confidence, as a Calibration or its values; None for captions
            without confidence.
        network: the encoder's network, to store it in the file; see `with_encoder_inside`.
        familiarity: detects pictures that are unlike those of the training, or its JSON form; None if not available.
        similar: finds similar training pictures with their captions, or its JSON form; None if not available.

    Raises:
        DataError: the vocabulary and the decoder's weights have different sizes.
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
        similar: SimilarPictures | Mapping[str, Any] | None = None,
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
        self.similar = (
            similar if isinstance(similar, SimilarPictures) or similar is None else SimilarPictures.from_json(similar)
        )
        # Filled when first needed; in a namespace, because Keras would save the content of a dict with the model.
        searches = Searches(lambda n, config: make_search(self.decoder, config, n, self.vocabulary))
        self._made = SimpleNamespace(encoder=None, vectors=None, searches=searches, lock=threading.RLock())
        self.built = True

    def call(self, features: Any) -> dict[str, Any]:
        """Generate captions for features (pictures, ...) with the defaults; see captioner.generation.search.Search."""
        return self.search().call(features)

    def search(self, n: int = 1, **changes: Any) -> Search:
        """Return the search that returns `n` captions per picture; each search is compiled once.

        Args:
            n: captions per picture.
            changes: options that differ from the defaults, see `caption`.

        Raises:
            ConfigError: a setting is impossible, or n is above the beam size.
            TypeError: an option does not exist.
        """
        config = build(GenerationConfig, {**to_settings(self.generation), **settings_of(changes)})
        found: Search = self._made.searches.get(n, config)
        return found

    def caption_features(self, features: Any, n: int = 1, first: Numbers = 0, **changes: Any) -> list[list[Caption]]:
        """Caption pictures by their features.

        Args:
            features: (pictures, channels) or (pictures, regions, channels) float32.
            n, changes: see `search`.
            first: the number of the first picture if other calls caption more pictures, or (pictures,) the number of
                each; sampling depends on the number and the seed.

        Returns:
            for each picture its captions, best first.

        Raises:
            ConfigError: see `search`.
            DataError: the features have another shape than in training.
        """
        expected = self.decoder.feature_shape
        found = tree.map_structure(lambda leaf: tuple(leaf.shape[1:]), features)
        if found != expected:
            raise DataError(f"features: this captioner expects the shape {expected} per picture, found {found}")
        search = self.wide_search(n, **changes)
        captions = generate(search, features, self.vocabulary, first)
        vectors = None if self.similar is None else self.vectors(features)
        return self.chosen(captions, features, vectors, n, search.config)

    def vectors(self, features: Any) -> np.ndarray:
        """Return one vector (pictures, channels) for each picture, by which similar pictures are found.

        It is the mean of the regions; if encoder layers are trained with the decoder, of their output's regions.

        Args:
            features: the pictures' features, (pictures, ...).
        """
        if not isinstance(self.decoder, FineTunedDecoder):
            return averaged(features)
        with self._made.lock:
            if self._made.vectors is None:
                self._made.vectors = MeanRegion(self.decoder)
        return self._made.vectors.of(np.asarray(features, np.float32))

    def find_encoder(self) -> Encoder:
        """Return the encoder, which is built and gets its weights at the first call.

        This is a method, because Keras evaluates all properties of a model when it loads or saves it.

        Raises:
            DataError: the encoder is not known, or its weights are not available or differ from those in training.
        """
        if self.encoder_description is None:
            raise DataError(
                "this captioner was trained on features without the name of their encoder, so it cannot caption "
                "pictures; extract the features with captioner extract and train again"
            )
        with self._made.lock:  # otherwise several threads could each build an encoder
            if self._made.encoder is None and self.network is None:
                require_allowed(str(self.encoder_description.get("backbone", "")))
                self._made.encoder = encoder_from_description(self.encoder_description)
            elif self._made.encoder is None:
                self._made.encoder = encoder_from_network(self.network, self.encoder_description)
        return self._made.encoder

    def with_encoder_inside(self) -> Captioner:
        """Return this captioner with its encoder's network inside.

        Its file then needs neither a download nor a package of weights.

        Raises:
            DataError: see `find_encoder`; or the encoder cannot be stored in the file: a KerasHub preset, or
                ConvNeXt's `pool`, which normalizes after its network.
        """
        encoder = self.find_encoder()
        backbone, layer = encoder.description["backbone"], encoder.description["layer"]
        if backbone.startswith(HUB) or (backbone.startswith("convnext") and layer == "pool"):
            raise DataError(f"{backbone} {layer}: this encoder cannot be stored in the captioner's file")
        network = clone_in(encoder.network, "float32")
        parts = (self.decoder, self.vocabulary, self.encoder_description, self.generation, self.calibration)
        return Captioner(*parts, network=network, familiarity=self.familiarity, similar=self.similar)

    def facts(self) -> Facts:
        """See PictureCaptioner.facts."""
        fine_tuned = isinstance(self.decoder, FineTunedDecoder)
        kind = type(self.decoder.decoder if fine_tuned else self.decoder)
        name = next((name for name, known in architectures.DECODERS.items() if known is kind), kind.__name__)
        return Facts(name, self.decoder.count_params(), tuple(self.decoder.feature_shape))

    def find_encoders(self) -> tuple[Encoder, ...]:
        """Return the encoders that a picture goes through, here a single one; see `find_encoder` and `arrange`."""
        return (self.find_encoder(),)

    def arrange(self, features: tuple[Any, ...]) -> Any:
        """Return the input of `caption_features` from the features (pictures, ...) of each encoder."""
        return features[0]

    def prepare(self, picture: Picture, name: str = "the picture") -> Any:
        """Decode a picture, see `caption`, and resize it for the encoder; a prepared picture stays unchanged.

        Args:
            picture: see `caption`.
            name: name in error messages for a picture without a path.

        Raises:
            DataError: the picture cannot be read, or the encoder is not available.
            TypeError: it is not a picture.
        """
        encoder = self.find_encoder()
        return encoder.prepare(picture_array(picture, name, at_least=encoder.input_size))

    def encode_prepared(self, pictures: Sequence[Any]) -> Any:
        """Return the features (pictures, ...) of prepared pictures. Raises as `caption_prepared` does."""
        features = self.find_encoder().encode(np.stack(pictures))
        self.warn_of_unlike(features)
        return features

    def save_to(self, path: str | Path) -> None:
        """Save to a `.keras` file atomically: `keras.Model.save` alone leaves half a file if it is interrupted."""
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
            "similar": self.similar.to_json() if self.similar is not None else None,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Captioner:
        """Build a captioner from the result of `get_config`."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("decoder", "network")
            if config.get(name) is not None
        }
        return cls(**{**config, **parts})


def load(path: str | os.PathLike[str]) -> Captioner:
    """Load a trained captioner from a run folder or a `.keras` file.

    Raises:
        DataError: there is no captioner at `path`, it is broken, or it was not saved by captioner.
    """
    path = Path(path)
    file = captioner_file(path)
    require_captioner(file)
    try:
        loaded = keras.saving.load_model(file, compile=False)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except Exception as error:  # a broken archive can raise almost any error
        raise DataError(f"{file}: cannot be loaded as a captioner ({_first_line(error)}); train it again") from error
    if not isinstance(loaded, Captioner):
        raise DataError(f"{file}: contains a {type(loaded).__name__}, not a captioner; captioner train makes one")
    return loaded


def _first_line(error: Exception) -> str:
    return textwrap.shorten((str(error).strip().splitlines() or [type(error).__name__])[0], 120)
