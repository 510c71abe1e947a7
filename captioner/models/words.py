"""Words on their way in and out: embedding, output layer, and what both begin with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

Tensor = Any


def require_shares(**rates: float) -> None:
    """Refuse a dropout rate that is not a share. Raises ValueError."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, found {rate}")


def require_sizes(**sizes: int) -> None:
    """Refuse a width or number that is below 1. Raises ValueError."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, found {size}")


@dataclass(frozen=True)
class L2Config:
    """Weights of the squares of kernels in the loss, by group.

    Attributes:
        picture: kernels that read the picture.
        words: the word embedding.
        recurrent: the recurrent layers' kernels.
        output: the kernels between the recurrent layers and the words.
    """

    picture: float = 0.0
    words: float = 0.0
    recurrent: float = 0.0
    output: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, found {value}")


@dataclass(frozen=True, kw_only=True)
class WordsConfig:
    """Settings of words that all architectures share.

    Attributes:
        embedding_size: width of the word embedding.
        embeddings: a GloVe or word2vec file whose vectors the embedding begins with; null for random ones.
        freeze_embeddings: whether the embedding stays as it begins.
        tied: whether the output layer uses the embedding's weights (Press and Wolf 2017).
        output_bias: what the output layer's bias begins with: zeros, or the logarithms of the words' frequencies.
        normalize: whether a picture's features are scaled to a root mean square of 1 beforehand.
        feature_dropout: dropout on the picture's features.
        word_dropout: dropout on the word embeddings.
        output_dropout: dropout before the output layer.
        l2: weight of the squares of kernels in the loss, by group.
    """

    embedding_size: int = 256
    embeddings: str | None = None
    freeze_embeddings: bool = False
    tied: bool = False
    output_bias: Literal["zeros", "frequency"] = "zeros"
    normalize: bool = False
    feature_dropout: float = 0.5
    word_dropout: float = 0.5
    output_dropout: float = 0.0
    l2: L2Config = field(default_factory=L2Config)

    def __post_init__(self) -> None:
        require_sizes(embedding_size=self.embedding_size)
        require_shares(
            feature_dropout=self.feature_dropout, word_dropout=self.word_dropout, output_dropout=self.output_dropout
        )
        if self.freeze_embeddings and self.embeddings is None:
            raise ValueError("freeze_embeddings needs embeddings, a file of word vectors")


class Words(keras.layers.Layer):
    """The word embedding and the output layer, with one matrix for both where they are tied.

    Args:
        vocabulary_size: number of words.
        units: width of what the output layer reads.
        config: the settings.
    """

    def __init__(self, vocabulary_size: int, units: int, config: WordsConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
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
        hidden = self.output_dropout(hidden, training=training)
        if self.output_layer is not None:
            return self.output_layer(hidden)
        if self.projection is not None:
            hidden = self.projection(hidden)
        matrix = ops.cast(self.embedding.embeddings, self.compute_dtype)  # (words, embedding_size)
        logits = ops.matmul(ops.cast(hidden, self.compute_dtype), ops.transpose(matrix))
        return logits + ops.cast(self.bias, self.compute_dtype)

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
    mean_square = ops.mean(ops.square(features), axis=axes, keepdims=True)
    return features * ops.rsqrt(mean_square + 1e-12)
