"""The merge model: picture and words are read apart and joined before the output layer.

Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator", 2018: the recurrent layer is a pure
language model; the picture never enters it. This is the model of the well-known Flickr8k tutorials.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import keras
from keras import ops

from captioner.models.cells import Recurrent
from captioner.models.decoder import CaptionDecoder, State, Tensor


@dataclass(frozen=True)
class MergeConfig:
    """Settings of the merge model.

    Attributes:
        cell: the recurrent layer over the words.
        embedding_size: width of the word embedding.
        units: width of the recurrent layer, of the picture's dense layer and of the joint dense layer.
        combine: how the two are joined: added, multiplied or laid side by side.
        normalize: whether a picture's features are scaled to length 1 (times the root of their number) beforehand.
        feature_dropout: dropout on the picture's features.
        word_dropout: dropout on the word embeddings.
        output_dropout: dropout before the output layer.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    embedding_size: int = 256
    units: int = 256
    combine: Literal["add", "multiply", "concatenate"] = "add"
    normalize: bool = False
    feature_dropout: float = 0.5
    word_dropout: float = 0.5
    output_dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.embedding_size, self.units) < 1:
            raise ValueError("embedding_size and units must be 1 or more")
        for name in ("feature_dropout", "word_dropout", "output_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, found {getattr(self, name)}")


@keras.saving.register_keras_serializable("captioner")
class MergeDecoder(CaptionDecoder):
    """Picture -> dense; words -> embedding -> recurrent layer; joined -> dense -> words.

    Args:
        config: a MergeConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are one vector a picture.

    Raises:
        ConfigError: the features are a grid.
    """

    def __init__(
        self, config: MergeConfig | dict[str, Any], vocabulary_size: int, feature_shape: tuple[int, ...], **kwargs: Any
    ) -> None:
        super().__init__(vocabulary_size, feature_shape, **kwargs)
        self.config = config = config if isinstance(config, MergeConfig) else MergeConfig(**config)
        channels = self.require_vector()
        policy = self.dtype_policy
        self.feature_dropout = keras.layers.Dropout(config.feature_dropout, dtype=policy)
        self.picture_layer = keras.layers.Dense(config.units, activation="relu", dtype=policy, name="picture")
        self.embedding = keras.layers.Embedding(vocabulary_size, config.embedding_size, dtype=policy, name="words")
        self.word_dropout = keras.layers.Dropout(config.word_dropout, dtype=policy)
        self.recurrent = Recurrent(config.cell, config.units, dtype=policy, name="recurrent")
        self.joint_layer = keras.layers.Dense(config.units, activation="relu", dtype=policy, name="joint")
        self.output_dropout = keras.layers.Dropout(config.output_dropout, dtype=policy)
        self.output_layer = keras.layers.Dense(vocabulary_size, dtype=policy, name="output")

        self.picture_layer.build((None, channels))
        self.embedding.build((None,))
        self.recurrent.build((None, None, config.embedding_size))
        joined = config.units * (2 if config.combine == "concatenate" else 1)
        self.joint_layer.build((None, joined))
        self.output_layer.build((None, config.units))
        self.built = True

    def encode(self, features: Tensor, training: bool = False) -> Tensor:
        """Return the pictures' part of the sum: (pictures, channels) -> (pictures, units)."""
        if self.config.normalize:
            # Root of the number of channels: the numbers keep a spread of about 1, which dense layers start well from.
            features = ops.normalize(features, axis=-1) * self.feature_shape[0] ** 0.5
        return self.picture_layer(self.feature_dropout(features, training=training))

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """Return the recurrent layer's zeros, (pictures, units) each."""
        return self.recurrent.initial_state(ops.shape(memory)[0])

    def step(self, token: Tensor, position: Tensor, state: State, memory: Tensor) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step; the attention has no regions."""
        output, state = self.recurrent.step(self.embedding(token), state)  # (hypotheses, units)
        output = ops.reshape(output, (ops.shape(memory)[0], -1, self.config.units))  # (pictures, beams, units)
        joined = self.joint_layer(self._join(memory[:, None], output))
        logits = ops.reshape(self.logits(joined), (-1, self.vocabulary_size))
        return logits, state, ops.zeros((ops.shape(token)[0], 0))

    def hidden(self, tokens: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden."""
        _, captions, time = ops.shape(tokens)
        words = self.embedding(ops.reshape(tokens, (-1, time)))  # (pictures x captions, time, embedding_size)
        output = self.recurrent(self.word_dropout(words, training=training), training=training)
        output = ops.reshape(output, (-1, captions, time, self.config.units))
        joined = self.joint_layer(self._join(memory[:, None, None], output))
        return self.output_dropout(joined, training=training)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the words' logits: (..., units) -> (..., words)."""
        return self.output_layer(hidden)

    def _join(self, picture: Tensor, words: Tensor) -> Tensor:
        """Join the picture's part, one wherever the words have many, with the words' part."""
        if self.config.combine == "add":
            return picture + words
        if self.config.combine == "multiply":
            return picture * words
        picture = ops.broadcast_to(picture, ops.shape(words))
        return ops.concatenate([picture, words], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "config": asdict(self.config)}
