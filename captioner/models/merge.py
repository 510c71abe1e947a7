"""The merge model: picture and words are processed separately and joined before the output layer.

Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator", 2018: the recurrent layer is a pure
language model; the picture never enters it. This is the model of the well-known Flickr8k tutorials.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.models.config import MergeConfig
from captioner.models.decoder import State, Tensor
from captioner.models.layout import Layout
from captioner.models.recurrent import RecurrentDecoder


@keras.saving.register_keras_serializable("captioner")
class MergeDecoder(RecurrentDecoder):
    """Picture -> dense; words -> embedding -> recurrent layer; joined -> dense -> words.

    Args:
        config: a MergeConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are one vector per picture.

    Raises:
        ConfigError: the features are a grid.
    """

    config: MergeConfig
    config_class = MergeConfig

    def __init__(
        self, config: MergeConfig | dict[str, Any], vocabulary_size: int, feature_shape: tuple[int, ...], **kwargs: Any
    ) -> None:
        super().__init__(config, vocabulary_size, feature_shape, **kwargs)
        units = self.config.units
        self.picture = self.picture_layer("picture", self.require_vector(), units, activation="relu")
        self.recurrent.build((None, None, self.config.embedding_size))
        joined = units * (2 if self.config.combine == "concatenate" else 1)
        self.joint = self.dense("joint", joined, units, activation="relu")
        self.words = self.make_words(units)
        self.built = True

    def encode(self, features: Tensor, training: bool = False) -> Tensor:
        """Return the pictures' part of the sum: (pictures, channels) -> (pictures, units)."""
        return self.picture(self.preprocess_features(features, training))

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """Return the recurrent layers' zeros, (pictures, units) each."""
        return self.recurrent.initial_state(ops.shape(memory)[0])

    def step(self, token: Tensor, position: Tensor, state: State, memory: Tensor) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step; the attention has no regions."""
        output, state = self.recurrent.step(self.words(token), state)  # (hypotheses, units)
        output = ops.reshape(output, (ops.shape(memory)[0], -1, self.config.units))  # (pictures, beams, units)
        joined = self.joint(self._join(memory[:, None], output))
        logits = ops.reshape(self.logits(joined), (-1, self.vocabulary_size))
        return logits, state, ops.zeros((ops.shape(token)[0], 0))

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at."""
        layout = Layout(positions, *ops.shape(tokens))
        words = self.words(ops.take(ops.reshape(tokens, (-1,)), positions), training=training)  # (n, embedding_size)
        output = self.recurrent.read_captions(
            words, self.recurrent.initial_state(layout.rows), layout, training=training
        )
        return self.joint(self._join(layout.of_picture(memory), output))

    def _join(self, picture: Tensor, words: Tensor) -> Tensor:
        """Join the picture's part with the words' part; the picture's part is broadcast over the words."""
        if self.config.combine == "add":
            return picture + words
        if self.config.combine == "multiply":
            return picture * words
        picture = ops.broadcast_to(picture, ops.shape(words))
        return ops.concatenate([picture, words], axis=-1)
