"""The inject models: the recurrent layer reads the picture before the words, as the first word, or with every word.

Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator", 2018, call them init-inject (the
picture is the first state), pre-inject (the picture is the first word: "Show and Tell", Vinyals et al. 2015) and
par-inject (the picture is beside every word).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.models.config import InjectConfig
from captioner.models.decoder import State, Tensor, per_caption
from captioner.models.layout import Layout
from captioner.models.recurrent import RecurrentDecoder


class InjectDecoder(RecurrentDecoder):
    """Picture -> dense -> recurrent layer over the words -> words. The memory is the input of the recurrent layer.

    Args:
        config: an InjectConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are one vector per picture.

    Raises:
        ConfigError: the features are a grid.
    """

    config_class = InjectConfig

    def __init__(
        self, config: InjectConfig | dict[str, Any], vocabulary_size: int, feature_shape: tuple[int, ...], **kwargs: Any
    ) -> None:
        super().__init__(config, vocabulary_size, feature_shape, **kwargs)
        self.picture = self.picture_layer("picture", self.require_vector(), self.picture_size())
        self.recurrent.build((None, None, self.input_size()))
        self.words = self.make_words(self.config.units)
        self.built = True

    def picture_size(self) -> int:
        """Return the number of channels of the picture."""
        return self.config.embedding_size

    def input_size(self) -> int:
        """Return the width of the recurrent layer's input."""
        return self.config.embedding_size

    def encode(self, features: Tensor, training: bool = False) -> Tensor:
        """Return the picture as the recurrent layer reads it: (pictures, channels) -> (pictures, picture_size)."""
        return self.picture(self.preprocess_features(features, training))

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """Return the recurrent layers' zeros, (pictures, units) each."""
        return self.recurrent.initial_state(ops.shape(memory)[0])

    def inputs(self, words: Tensor, picture: Tensor) -> Tensor:
        """Return the recurrent layer's input for words (n, embedding_size) and pictures (n, picture_size)."""
        return words

    def step(self, token: Tensor, position: Tensor, state: State, memory: Tensor) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step; the attention has no regions."""
        picture = per_caption(memory, ops.shape(token)[0] // ops.shape(memory)[0])
        output, state = self.recurrent.step(self.inputs(self.words(token), picture), state)
        return self.logits(output), state, ops.zeros((ops.shape(token)[0], 0))

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at."""
        layout = Layout(positions, *ops.shape(tokens))
        words = self.words(ops.take(ops.reshape(tokens, (-1,)), positions), training=training)  # (n, embedding_size)
        first = keras.tree.map_structure(
            lambda leaf: per_caption(leaf, layout.captions), self.initial_state(memory, layout.time)
        )
        read = self.inputs(words, layout.of_picture(memory))
        return self.recurrent.read_captions(read, first, layout, training=training)


@keras.saving.register_keras_serializable("captioner")
class InitInjectDecoder(InjectDecoder):
    """The picture is the recurrent layers' initial output; an LSTM's memory starts with zeros."""

    def picture_size(self) -> int:
        """See InjectDecoder."""
        return self.config.units

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """See CaptionDecoder.initial_state."""
        return self.recurrent.state_from(memory)


@keras.saving.register_keras_serializable("captioner")
class PreInjectDecoder(InjectDecoder):
    """The picture is the first word."""

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """Return the state after the picture has been read."""
        return self.recurrent.step(memory, self.recurrent.initial_state(ops.shape(memory)[0]))[1]


@keras.saving.register_keras_serializable("captioner")
class ParInjectDecoder(InjectDecoder):
    """The picture is concatenated to every word."""

    def input_size(self) -> int:
        """See InjectDecoder."""
        return 2 * self.config.embedding_size

    def inputs(self, words: Tensor, picture: Tensor) -> Tensor:
        """See InjectDecoder.inputs."""
        return ops.concatenate([words, picture], axis=-1)
