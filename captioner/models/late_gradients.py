"""Products with the same kernel at every step of a loop, whose kernel gets its gradient after the loop, at once.

A backend's backward pass multiplies for the kernel's gradient at every step, and adds the result to the sum so far: on
a processor it reads and writes the kernel's whole memory each time. After the loop a single large product gives the
same sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from captioner.models.layout import LongestFirst

Tensor = Any


class LateProduct:
    """The product of some rows and a kernel, at every step of a loop.

    Its results are added to the slices of `room`, one at each step t, so the gradient of room[t] is that of the
    product, and the gradient of the kernel is the sum over t of inputs[t]^T . d room[t]. That is how TensorFlow
    computes it; for other backends this is an ordinary product.

    Args:
        kernel: (n, width).
        longest: the captions that the loop runs over; the places of their words have a gradient.
        room: (time, rows, width), what the products are added to; zeros where None.

    Attributes:
        room: to be used instead of the argument.
    """

    def __init__(self, kernel: Tensor, longest: LongestFirst, room: Tensor = None) -> None:
        if room is None:
            room = ops.zeros((longest.time, longest.rows, kernel.shape[-1]), kernel.dtype)
        self.room, self._longest = room, longest
        self._multiply: Callable[[Tensor], Tensor] = lambda inputs: ops.matmul(inputs, kernel)
        self._inputs: list[Tensor] = []
        if keras.backend.backend() == "tensorflow":
            self._divide_gradients(kernel)

    def _divide_gradients(self, kernel: Tensor) -> None:
        import tensorflow as tf

        fixed = tf.stop_gradient(kernel)
        transposed = tf.transpose(fixed)  # once: a product with a kernel that lies the other way takes twice as long

        @tf.custom_gradient
        def multiply(inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            return tf.matmul(inputs, fixed), lambda upstream: tf.matmul(upstream, transposed)

        @tf.custom_gradient
        def same(room: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
            del kernel  # an argument because it gets a gradient

            def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
                words = [self._longest.in_a_row(x) for x in (*self._inputs, upstream)]
                return upstream, tf.matmul(*words, transpose_a=True)

            return tf.identity(room), gradient

        self._multiply, self.room = multiply, same(self.room, kernel)

    def added_to(self, room: Tensor, inputs: Tensor) -> Tensor:
        """Return the products of a step's inputs (rows, n) added to that step's room, (rows, width)."""
        return room + self._multiply(inputs)

    def end(self, inputs: Tensor) -> None:
        """Take the inputs of all steps, (time, rows, n). Must be called after the loop."""
        self._inputs = [inputs]


class LateProducts:
    """Several late products of a loop, their rooms side by side: a loop on TensorFlow runs over a single tensor.

    Args:
        kernels: (n, width) each.
        longest: see LateProduct.
        room: of the first kernel.

    Attributes:
        room: (time, rows, sum of the widths), what the loop runs over.
    """

    def __init__(self, kernels: Sequence[Tensor], longest: LongestFirst, room: Tensor) -> None:
        first, *others = kernels
        self._products = [LateProduct(first, longest, room), *(LateProduct(kernel, longest) for kernel in others)]
        self._ends = list(itertools.accumulate(kernel.shape[-1] for kernel in kernels))
        self.room = ops.concatenate([product.room for product in self._products], axis=-1)

    def at(self, room: Tensor) -> list[Callable[[Tensor], Tensor]]:
        """Return for each kernel what adds a product to its part of a step's room, (rows, sum of the widths)."""
        parts = ops.split(room, self._ends[:-1], axis=-1)
        return [partial(product.added_to, part) for product, part in zip(self._products, parts, strict=True)]

    def end(self, *inputs: Tensor) -> None:
        """Take the inputs of all steps for each kernel, (time, rows, n) each. Must be called after the loop."""
        for product, each in zip(self._products, inputs, strict=True):
            product.end(each)


def before_each(first: Any, after: Any) -> Any:
    """Return what the steps of a loop begin with, (time, rows, ...), of what the first begins with and all end with."""
    return keras.tree.map_structure(lambda one, all_: ops.concatenate([one[None], all_[:-1]]), first, after)
