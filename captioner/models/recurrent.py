"""The base class of decoders with recurrent layers: settings, recurrent layers, words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import keras

from captioner.config import build
from captioner.models.cells import Recurrent
from captioner.models.config import RecurrentConfig
from captioner.models.decoder import CaptionDecoder, Tensor
from captioner.models.words import Words, normalized


class RecurrentDecoder(CaptionDecoder):
    """A decoder with words, a recurrent layer and dropout on the picture's features; a subclass joins them.

    Args:
        config: the architecture's dataclass or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder.
    """

    config_class: ClassVar[type[RecurrentConfig]] = RecurrentConfig

    def __init__(self, config: Any, vocabulary_size: int, feature_shape: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(vocabulary_size, feature_shape, **kwargs)
        self.config = config = config if isinstance(config, RecurrentConfig) else build(self.config_class, config)
        self.feature_dropout = keras.layers.Dropout(config.feature_dropout, dtype=self.dtype_policy)
        self.recurrent = Recurrent(
            config.cell,
            config.units,
            config.layers,
            config.recurrent_dropout,
            config.layer_dropout,
            config.layer_norm,
            config.l2.recurrent,
            dtype=self.dtype_policy,
            name="recurrent",
        )

    def make_words(self, units: int) -> Words:
        """Return words whose output layer reads `units` numbers."""
        words = Words(self.vocabulary_size, units, self.config, dtype=self.dtype_policy, name="words")
        words.build()
        return words

    def dense(self, name: str, inputs: int, units: int, activation: str | None = None, **options: Any) -> Any:
        """Return a built dense layer of the decoder."""
        layer = keras.layers.Dense(units, activation=activation, dtype=self.dtype_policy, name=name, **options)
        layer.build((None, inputs))
        return layer

    def picture_layer(self, name: str, inputs: int, units: int, activation: str | None = None) -> Any:
        """Return a built dense layer that reads the picture."""
        l2 = self.config.l2.picture
        regularizer = keras.regularizers.L2(l2) if l2 else None
        return self.dense(name, inputs, units, activation, kernel_regularizer=regularizer)

    def preprocess_features(self, features: Tensor, training: bool) -> Tensor:
        """Return the features (pictures, ...) after the optional scaling and dropout."""
        if self.config.normalize:
            features = normalized(features)
        return self.feature_dropout(features, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "config": asdict(self.config)}
