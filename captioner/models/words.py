"""Words on their way in and out: embedding, output layer, and what both begin with."""

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
    """The word embedding and the output layer, with one matrix for both where they are tied.

    Args:
        vocabulary_size: number of words.
        units: width of what the output layer reads.
        config: the settings, as WordsConfig or its plain values.
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
        """Return the words' logits (..., words) of the output layer's inputs (..., units)."""
        hidden = self.read_out(hidden, training=training)
        if self.output_layer is not None:
            return self.output_layer(hidden)
        matrix = ops.cast(self.embedding.embeddings, self.compute_dtype)  # (words, embedding_size)
        logits = ops.matmul(ops.cast(hidden, self.compute_dtype), ops.transpose(matrix))
        return logits + ops.cast(self.bias, self.compute_dtype)

    def read_out(self, hidden: Tensor, training: bool = False) -> Tensor:
        """Return what the matrix of the output layer is multiplied with (..., width)."""
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
        """Put word vectors (words, embedding_size) into the embedding where `found` (words,) says that there are any.

        The others stay random, but as large as the vectors are on average.
        """
        random = ops.convert_to_numpy(self.embedding.embeddings)
        if found.any():
            random = random * (np.std(vectors[found]) / np.std(random))
        self.embedding.embeddings.assign(np.where(found[:, None], vectors, random))

    def bias_towards(self, log_frequencies: np.ndarray) -> None:
        """Begin the output layer's bias with the words' log-frequencies (words,)."""
        (self.bias if self.output_layer is None else self.output_layer.bias).assign(log_frequencies)


def normalized(features: Tensor) -> Tensor:
    """Return a picture's features (pictures, ...) divided by their root mean square over all but the first axis.

    The numbers then have a spread of about 1, which dense layers start well from, however bright the picture.
    """
    axes = tuple(range(1, len(features.shape)))
    largest = ops.max(ops.abs(features), axis=axes, keepdims=True)
    features = features / ops.maximum(1.0, largest * 1e-15)  # values above 1e19 have no square in float32
    mean_square = ops.mean(ops.square(features), axis=axes, keepdims=True)
    return features * ops.rsqrt(mean_square + 1e-12)
