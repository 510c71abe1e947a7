"""The layers of a pre-norm transformer: x + block(norm(x)), with dropout on what the block adds (Xiong et al. 2020)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any
UNSEEN = -1e9  # score of what must not be looked at; finite, so that softmax stays defined


def attend(query: Tensor, keys_values: Tensor, heads: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, eq. 1).

    Args:
        query: (n, queries, width).
        keys_values: (n, places, 2 x width), keys and values side by side.
        heads: divides the width.
        mask: (queries, places), true where a query may look; None for everywhere.

    Returns:
        (n, queries, width), and the attention (n, heads, queries, places) in float32.
    """
    width = query.shape[-1]
    size = width // heads

    def by_head(x: Tensor) -> Tensor:  # (n, length, width) -> (n, heads, length, size)
        return ops.transpose(ops.reshape(x, (ops.shape(x)[0], -1, heads, size)), (0, 2, 1, 3))

    keys, values = by_head(keys_values[..., :width]), by_head(keys_values[..., width:])
    scores = ops.matmul(by_head(query) * size**-0.5, ops.transpose(keys, (0, 1, 3, 2)))  # (n, heads, queries, places)
    scores = ops.cast(scores, "float32")
    if mask is not None:
        scores = ops.where(mask, scores, UNSEEN)
    # Keras warns of a softmax over one place.
    attention = ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
    seen = ops.matmul(ops.cast(attention, values.dtype), values)  # (n, heads, queries, size)
    return ops.reshape(ops.transpose(seen, (0, 2, 1, 3)), (ops.shape(query)[0], -1, width)), attention


class Block(keras.layers.Layer):
    """What encoder and decoder layers share: norms, dense layers, the feed-forward block, dropout.

    Args:
        width: of inputs and outputs.
        heads: of every attention.
        feedforward_units: width inside the feed-forward block.
        dropout: on what is added to the input.
    """

    def __init__(self, width: int, heads: int, feedforward_units: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.heads = width, heads
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.self_norm = self._norm("self_norm")
        self.self_layer = self._dense("self", width, 3 * width)  # query, keys and values in one product
        self.self_output = self._dense("self_output", width, width)
        self.feedforward_norm = self._norm("feedforward_norm")
        self.feedforward = self._dense("feedforward", width, feedforward_units, "relu")
        self.feedforward_output = self._dense("feedforward_output", feedforward_units, width)
        self.built = True

    def _dense(self, name: str, inputs: int, units: int, activation: str | None = None) -> Any:
        layer = keras.layers.Dense(units, activation=activation, dtype=self.dtype_policy, name=name)
        layer.build((None, inputs))
        return layer

    def _norm(self, name: str) -> Any:
        layer = keras.layers.LayerNormalization(epsilon=1e-6, dtype=self.dtype_policy, name=name)
        layer.build((None, None, self.width))
        return layer

    def look_around(self, x: Tensor, mask: Tensor | None, training: bool) -> Tensor:
        """Add self-attention to x (n, length, width)."""
        read = self.self_layer(self.self_norm(x))  # (n, length, 3 x width)
        seen, _ = attend(read[..., : self.width], read[..., self.width :], self.heads, mask)
        return x + self.dropout(self.self_output(seen), training=training)

    def feed_forward(self, x: Tensor, training: bool) -> Tensor:
        """Add the feed-forward block to x (n, length, width)."""
        added = self.feedforward_output(self.feedforward(self.feedforward_norm(x)))
        return x + self.dropout(added, training=training)


class EncoderLayer(Block):
    """Self-attention over regions and a feed-forward block."""

    def call(self, regions: Tensor, training: bool = False) -> Tensor:
        """Return new regions (pictures, regions, width)."""
        return self.feed_forward(self.look_around(regions, None, training), training)


class DecoderLayer(Block):
    """Self-attention over the words so far, cross-attention to the regions, a feed-forward block."""

    def __init__(self, width: int, heads: int, feedforward_units: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(width, heads, feedforward_units, dropout, **kwargs)
        self.cross_norm = self._norm("cross_norm")
        self.cross_query = self._dense("cross_query", width, width)
        self.cross_output = self._dense("cross_output", width, width)

    def call(self, words: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """Return new words (pictures x captions, time, width), given memory (pictures, regions, 2 x width)."""
        time = ops.shape(words)[1]
        places = ops.arange(time)
        words = self.look_around(words, places[:, None] >= places[None], training)
        words, _ = self._look_at(words, memory, training)
        return self.feed_forward(words, training)

    def step(self, word: Tensor, position: Tensor, cache: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read one word.

        Args:
            word: (hypotheses, 1, width).
            position: scalar.
            cache: (hypotheses, max_length, 2 x width), keys and values of the words before.
            memory: (pictures, regions, 2 x width).

        Returns:
            (hypotheses, 1, width), the cache with this word, and the attention to the regions (hypotheses, regions).
        """
        read = self.self_layer(self.self_norm(word))  # (hypotheses, 1, 3 x width)
        places = ops.arange(cache.shape[1])
        cache = ops.where((places == position)[:, None], read[..., self.width :], cache)
        seen, _ = attend(read[..., : self.width], cache, self.heads, (places <= position)[None])
        word = word + self.self_output(seen)
        word, attention = self._look_at(word, memory, training=False)
        return self.feed_forward(word, training=False), cache, attention

    def _look_at(self, words: Tensor, memory: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """Add cross-attention; return it too, the mean over the heads: (pictures x captions x time, regions)."""
        pictures, regions = ops.shape(memory)[0], memory.shape[1]
        query = self.cross_query(self.cross_norm(words))
        # All words of a picture's captions stand in one row of queries: keys and values are neither copied nor reread.
        query = ops.reshape(query, (pictures, -1, self.width))
        seen, attention = attend(query, memory, self.heads)
        seen = ops.reshape(seen, ops.shape(words))
        attention = ops.reshape(ops.mean(attention, axis=1), (-1, regions))
        return words + self.dropout(self.cross_output(seen), training=training), attention
