"""Products with the same kernel at every step of a loop, whose kernel gets its gradient after the loop, at once.

A backend's backward pass multiplies for the kernel's gradient at every step, and adds the result to the sum so far: on
a processor it reads and writes the kernel's whole memory each time. After the loop one large product gives the same sum.
"""

from __future__ import annotations

from collections.abc import Callable
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
