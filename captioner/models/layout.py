"""The order of the words of a batch of captions."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

Tensor = Any


class Layout(NamedTuple):
    """The order of the words of a batch: dense layers see them in one row, others see them in their captions.

    Attributes:
        positions: (n,) of the words, different indices into the flattened tokens.
        pictures, captions, time: the tokens' shape.
    """

    positions: Tensor
    pictures: Tensor
    captions: Tensor
    time: Tensor

    @property
    def rows(self) -> Tensor:
        """How many captions there are."""
        return self.pictures * self.captions

    def by_caption(self, x: Tensor) -> Tensor:
        """Lay words (n, width) out as (pictures x captions, time, width), zeros where there is none."""
        laid_out = ops.scatter(self.positions[:, None], x, (self.rows * self.time, x.shape[-1]))
        return ops.reshape(laid_out, (-1, self.time, x.shape[-1]))

    def in_a_row(self, x: Tensor) -> Tensor:
        """Take the words back: (..., width) -> (n, width)."""
        return ops.take(ops.reshape(x, (-1, x.shape[-1])), self.positions, axis=0)

    def of_picture(self, x: Tensor) -> Tensor:
        """Return for each word what there is of its picture: (pictures, width) -> (n, width)."""
        return ops.take(x, self.positions // (self.captions * self.time), axis=0)

    def longest_first(self) -> LongestFirst:
        """Put the captions in the order of their lengths."""
        words = self.by_caption(ops.ones((ops.shape(self.positions)[0], 1), "int32"))
        return LongestFirst.of(ops.sum(words, axis=(1, 2)), self)


class LongestFirst(NamedTuple):
    """Captions in the order of their lengths, the longest first: those that have not ended are the first few.

    On TensorFlow a step then skips captions that have ended. Other backends do not know shapes that change.

    Attributes:
        order: (rows,) the captions.
        places: (n,) of the words in (time x rows), flattened.
        rows: how many captions there are.
        time: how many steps.
        unended: (time,) how many have not ended; None where shapes cannot change.
    """

    order: Tensor
    places: Tensor
    rows: Tensor
    time: Tensor
    unended: Tensor | None

    @classmethod
    def of(cls, lengths: Tensor, layout: Layout) -> LongestFirst:
        """Order captions of `lengths` (rows,)."""
        order = ops.argsort(-lengths)
        places = (layout.positions % layout.time) * layout.rows
        places = places + ops.take(ops.argsort(order), layout.positions // layout.time)
        if keras.backend.backend() != "tensorflow":
            return cls(order, places, layout.rows, layout.time, None)
        unended = ops.sum(ops.cast(lengths[None] > ops.arange(layout.time)[:, None], "int32"), axis=1)
        return cls(order, places, layout.rows, layout.time, unended)

    def by_time(self, x: Tensor) -> Tensor:
        """Lay words (n, width) out by their steps, zeros where there is none: (time, rows, width)."""
        laid_out = ops.scatter(self.places[:, None], x, (self.time * self.rows, x.shape[-1]))
        return ops.reshape(laid_out, (self.time, -1, x.shape[-1]))

    def in_a_row(self, x: Tensor) -> Tensor:
        """Take the words back: (time, rows, width) -> (n, width)."""
        return ops.take(ops.reshape(x, (-1, x.shape[-1])), self.places, axis=0)

    def open(self, step: Tensor) -> Tensor:
        """Return how many of the first captions a step does not skip."""
        return self.rows if self.unended is None else ops.take(self.unended, step)

    def divide(self, tree: Any, step: Tensor) -> tuple[Any, Any]:
        """Return of tensors (rows, ...) the rows that a step does not skip, and the others."""
        if self.unended is None:
            return tree, keras.tree.map_structure(lambda leaf: leaf[:0], tree)
        import tensorflow as tf

        # The gradient of both parts of a split is one concatenation; those of two slices are filled up and added.
        sizes = [self.open(step), self.rows - self.open(step)]
        parts = [tf.split(leaf, sizes) for leaf in keras.tree.flatten(tree)]
        working, ended = (keras.tree.pack_sequence_as(tree, [part[side] for part in parts]) for side in (0, 1))
        return working, ended

    def join(self, working: Any, ended: Any) -> Any:
        """Put the parts of `divide` together again."""
        return keras.tree.map_structure(lambda *parts: ops.concatenate(parts), working, ended)

    def fill(self, tree: Any) -> Any:
        """Return tensors (up to rows, ...) with zeros for the rows that a step skips."""

        def filled(leaf: Tensor) -> Tensor:
            missing = self.rows - ops.shape(leaf)[0]
            return ops.concatenate([leaf, ops.zeros((missing, *leaf.shape[1:]), leaf.dtype)])

        return keras.tree.map_structure(filled, tree)
