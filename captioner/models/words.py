"""The word embedding, the output layer, and their initial values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import build, to_settings
from captioner.models.config import WordsConfig

Tensor = Any


@keras.saving.register_keras_serializable("captioner")
class Words(keras.layers.Layer):
    """The word embedding and the output layer; if they are tied, both use one matrix.

    Args:
        vocabulary_size: number of words.
        units: width of the output layer's input.
        config: the settings, as WordsConfig or as a dict.
    """

    def __init__(
        self, vocabulary_size: int, units: int, config: WordsConfig | Mapping[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        config = config if isinstance(config, WordsConfig) else build(WordsConfig, config)
        self.vocabulary_size, self.units, self.config = vocabulary_size, units, config
        policy, l2 = self.dtype_policy, config.l2
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            config.embedding_size,
            embeddings_regularizer=keras.regularizers.L2(l2.words) if l2.words else None,
            trainable=not config.freeze_embeddings,
            dtype=policy,
            name="embedding",
        )
        self.word_dropout = keras.layers.Dropout(config.word_dropout, dtype=policy)
        self.output_dropout = keras.layers.Dropout(config.output_dropout, dtype=policy)
        regularizer = keras.regularizers.L2(l2.output) if l2.output else None
        self.projection = self.output_layer = None
        if not config.tied:
            self.output_layer = keras.layers.Dense(
                vocabulary_size, kernel_regularizer=regularizer, dtype=policy, name="output"
            )
        elif units != config.embedding_size:
            self.projection = keras.layers.Dense(
                config.embedding_size, use_bias=False, kernel_regularizer=regularizer, dtype=policy, name="projection"
            )

    def build(self, input_shape: Any = None) -> None:
        """Make the weights."""
        self.embedding.build((None,))
        if self.output_layer is not None:
            self.output_layer.build((None, self.units))
        else:
            self.bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="bias")
        if self.projection is not None:
            self.projection.build((None, self.units))
        self.built = True

    def call(self, tokens: Tensor, training: bool = False) -> Tensor:
        """Return the embeddings (..., embedding_size) of tokens (...)."""
        return self.word_dropout(self.embedding(tokens), training=training)

    def logits(self, hidden: Tensor, training: bool = False) -> Tensor:
        """Return the words' logits (..., words) for the output layer's inputs (..., units)."""
        hidden = self.read_out(hidden, training=training)
        if self.output_layer is not None:
            return self.output_layer(hidden)
        matrix = ops.cast(self.embedding.embeddings, self.compute_dtype)  # (words, embedding_size)
        logits = ops.matmul(ops.cast(hidden, self.compute_dtype), ops.transpose(matrix))
        return logits + ops.cast(self.bias, self.compute_dtype)

    def read_out(self, hidden: Tensor, training: bool = False) -> Tensor:
        """Return the values (..., width) that are multiplied by the output layer's matrix."""
        hidden = self.output_dropout(hidden, training=training)
        return hidden if self.projection is None else self.projection(hidden)

    def output_weights(self) -> tuple[Tensor, Tensor]:
        """Return the matrix of the output layer (width, words) and its bias (words,)."""
        if self.output_layer is not None:
            return self.output_layer.kernel, self.output_layer.bias
        return ops.transpose(self.embedding.embeddings), self.bias

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        settings = {field.name: getattr(self.config, field.name) for field in fields(WordsConfig)}
        settings = to_settings(WordsConfig(**settings))
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "config": settings,
        }

    def begin_with(self, vectors: np.ndarray, found: np.ndarray) -> None:
        """Copy word vectors (words, embedding_size) into the embedding where `found` (words,) is true.

        The other words keep random vectors, scaled to the average size of the given vectors.
        """
        random = ops.convert_to_numpy(self.embedding.embeddings)
        if found.any():
            random = random * (np.std(vectors[found]) / np.std(random))
        self.embedding.embeddings.assign(np.where(found[:, None], vectors, random))

    def bias_towards(self, log_frequencies: np.ndarray) -> None:
        """Initialize the output layer's bias with the words' log-frequencies (words,)."""
        (self.bias if self.output_layer is None else self.output_layer.bias).assign(log_frequencies)


def normalized(features: Tensor) -> Tensor:
    """Return a picture's features (pictures, ...) divided by their root mean square over all but the first axis.

    The values then have a standard deviation of about 1, which suits the initialization of dense layers, whatever the
    picture's brightness.
    """
    axes = tuple(range(1, len(features.shape)))
    largest = ops.max(ops.abs(features), axis=axes, keepdims=True)
    features = features / ops.maximum(1.0, largest * 1e-15)  # values above 1e19 have no square in float32
    mean_square = ops.mean(ops.square(features), axis=axes, keepdims=True)
    return features * ops.rsqrt(mean_square + 1e-12)
