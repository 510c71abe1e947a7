"""The layers of a pre-norm transformer: x + block(norm(x)), with dropout on the block's output (Xiong et al. 2020)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.models.layout import Layout

Tensor = Any
Pair = tuple[Tensor, ...]  # keys and values
UNSEEN = -1e9  # score of masked places; finite, so that softmax stays defined


def by_head(x: Tensor, heads: int) -> Tensor:
    """Return x (n, length, width) as (n, heads, length, width / heads)."""
    length = -1 if x.shape[1] is None else x.shape[1]
    return ops.transpose(ops.reshape(x, (ops.shape(x)[0], length, heads, x.shape[-1] // heads)), (0, 2, 1, 3))


def side_by_side(x: Tensor) -> Tensor:
    """Return x (n, heads, length, size) as (n, length, heads x size)."""
    _, heads, length, size = x.shape
    length = -1 if length is None else length
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (ops.shape(x)[0], length, heads * size))


def keys_and_values(x: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Return x (n, places, 2 x width), keys and values side by side, as two (n, heads, places, width / heads)."""
    keys, values = ops.split(x, 2, axis=-1)
    return by_head(keys, heads), by_head(values, heads)


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, eq. 1).

    Args:
        query: (n, heads, queries, size).
        keys, values: (n, heads, places, size).
        mask: (queries, places), true where a query may attend; None for everywhere.

    Returns:
        (n, heads, queries, size), and the attention (n, heads, queries, places) in float32.
    """
    scores = ops.matmul(query * keys.shape[-1] ** -0.5, ops.transpose(keys, (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32")  # (n, heads, queries, places)
    if mask is not None:
        scores = ops.where(mask, scores, UNSEEN)
    # Keras warns about a softmax over an axis of size 1.
    attention = ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
    return ops.matmul(ops.cast(attention, values.dtype), values), attention


class Block(keras.layers.Layer):
    """The base class of encoder and decoder layers: norms, dense layers, the feed-forward block, dropout.

    Args:
        width: width of inputs and outputs.
        heads: heads of every attention.
        feedforward_units: width inside the feed-forward block.
        dropout: dropout rate of the branch that is added to the input.
    """

    def __init__(self, width: int, heads: int, feedforward_units: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.heads, self.feedforward_units = width, heads, feedforward_units
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

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "feedforward_units": self.feedforward_units,
            "dropout": self.dropout.rate,
        }

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return query (..., width) and keys and values (..., 2 x width) of the self-attention."""
        query, keys_values = ops.split(self.self_layer(self.self_norm(x)), [self.width], axis=-1)
        return query, keys_values

    def add(self, x: Tensor, seen: Tensor, training: bool) -> Tensor:
        """Add the output of the self-attention, (..., width)."""
        return x + self.dropout(self.self_output(seen), training=training)

    def feed_forward(self, x: Tensor, training: bool) -> Tensor:
        """Add the feed-forward block to x (..., width)."""
        added = self.feedforward_output(self.feedforward(self.feedforward_norm(x)))
        return x + self.dropout(added, training=training)


@keras.saving.register_keras_serializable("captioner")
class EncoderLayer(Block):
    """Self-attention over regions and a feed-forward block."""

    def call(self, regions: Tensor, training: bool = False) -> Tensor:
        """Return new regions (pictures, regions, width)."""
        query, keys_values = self.read(regions)
        seen, _ = attend(by_head(query, self.heads), *keys_and_values(keys_values, self.heads))
        return self.feed_forward(self.add(regions, side_by_side(seen), training), training)


@keras.saving.register_keras_serializable("captioner")
class DecoderLayer(Block):
    """Self-attention over the words so far, cross-attention to the regions, a feed-forward block."""

    def __init__(self, width: int, heads: int, feedforward_units: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(width, heads, feedforward_units, dropout, **kwargs)
        self.cross_norm = self._norm("cross_norm")
        self.cross_query = self._dense("cross_query", width, width)
        self.cross_output = self._dense("cross_output", width, width)

    def read_captions(self, words: Tensor, memory: Pair, layout: Layout, training: bool = False) -> Tensor:
        """Return new words (n, width), given the regions' keys and values (pictures, heads, regions, size)."""
        query, keys_values = self.read(words)
        places = ops.arange(layout.time)
        # The padding of captions needs no mask: it comes after all their words.
        earlier = places[:, None] >= places[None]
        pair = keys_and_values(layout.by_caption(keys_values), self.heads)
        seen, _ = attend(by_head(layout.by_caption(query), self.heads), *pair, earlier)
        words = self.add(words, layout.in_a_row(side_by_side(seen)), training)
        # All words of a picture's captions form one list of queries, so keys and values are read once and not copied.
        query = layout.by_caption(self.cross_query(self.cross_norm(words)))
        query = ops.reshape(query, (layout.pictures, -1, self.width))
        seen, _ = attend(by_head(query, self.heads), *memory)
        words = self.add_seen(words, layout.in_a_row(side_by_side(seen)), training)
        return self.feed_forward(words, training)

    def add_seen(self, words: Tensor, seen: Tensor, training: bool = False) -> Tensor:
        """Add the output of the cross-attention, (..., width)."""
        return words + self.dropout(self.cross_output(seen), training=training)

    def step(self, word: Tensor, position: Tensor, cache: Pair, memory: Pair) -> tuple[Tensor, Pair, Tensor]:
        """Read one word.

        Args:
            word: (hypotheses, width).
            position: scalar.
            cache: keys and values of the previous words, (hypotheses, heads, max_length, size) each. In an exported
                step, where the length is not known, they have only the previous words and grow by one.
            memory: keys and values of the regions, (pictures, heads, regions, size) each.

        Returns:
            (hypotheses, width), the cache with this word, and the attention to the regions (hypotheses, regions).
        """
        size = self.width // self.heads
        query, *new = (
            ops.reshape(one, (-1, self.heads, 1, size))
            for one in ops.split(self.self_layer(self.self_norm(word)), 3, -1)
        )
        if cache[0].shape[2] is None:
            keys, values = (ops.concatenate(pair, axis=2) for pair in zip(cache, new, strict=True))
            mask = None
        else:  # shapes in a compiled loop are fixed
            places = ops.arange(cache[0].shape[2])
            here = (places == position)[:, None]
            keys, values = (ops.where(here, one, before) for before, one in zip(cache, new, strict=True))
            mask = (places <= position)[None]
        seen, _ = attend(query, keys, values, mask)
        word = self.add(word, ops.reshape(seen, (-1, self.width)), training=False)
        query = ops.reshape(self.cross_query(self.cross_norm(word)), (ops.shape(memory[0])[0], -1, self.width))
        seen, attention = attend(by_head(query, self.heads), *memory)
        word = self.add_seen(word, ops.reshape(side_by_side(seen), (-1, self.width)))
        attention = ops.reshape(ops.mean(attention, axis=1), (-1, memory[0].shape[2]))  # (hypotheses, regions)
        return self.feed_forward(word, training=False), (keys, values), attention
