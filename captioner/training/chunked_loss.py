"""The output layer and the training loss together, computed for a chunk of rows at a time.

The logits of a batch are by far the largest arrays of a training step. If a core multiplies bfloat16 matrices natively,
reading and writing the logits costs more than the arithmetic. Here the logits of a chunk are computed, turned into loss
and gradients, and dropped, so that all chunks use the same memory. This is for TensorFlow on CPUs; XLA optimizes this
itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from captioner.keras_settings import tensorflow_on_cpu
from captioner.models.decoder import CaptionDecoder
from captioner.training.losses import LEAST_PROBABILITY

Tensor = Any
CHUNK = 2**23  # logits per chunk: with smaller chunks the output layer's gradient is summed too often


def suits(decoder: CaptionDecoder) -> bool:
    """Return whether a decoder has the usual output layer, on a device where chunks are faster."""
    return type(decoder).logits is CaptionDecoder.logits and tensorflow_on_cpu()


@keras.saving.register_keras_serializable("captioner")
class TrainedInChunks(keras.Model):
    """A decoder in training. Compile it without a loss: it computes the loss of CaptionLoss itself.

    Args:
        decoder: the decoder to train; afterwards it is used without this model.
        label_smoothing: see CaptionLoss.
    """

    def __init__(self, decoder: CaptionDecoder, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**{"dtype": decoder.dtype_policy, **kwargs})
        self.decoder, self.label_smoothing = decoder, label_smoothing
        self.built = True

    def call(self, inputs: tuple[Tensor, Tensor, Tensor], training: bool = False) -> Tensor:
        """Return the input of the output layer, (n, width); see CaptionDecoder.call for the inputs."""
        features, tokens, positions = inputs
        memory = self.decoder.encode(features, training=training)
        hidden = self.decoder.hidden_at(tokens, positions, memory, training=training)
        hidden = self.decoder.before_output(hidden, training=training)
        return self.decoder.words.read_out(hidden, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of targets `y` (n,) plus the decoder's own losses, such as weight regularization."""
        weights = ops.ones(ops.shape(y)) if sample_weight is None else sample_weight
        matrix, bias = self.decoder.words.output_weights()
        loss = loss_of(y_pred, matrix, bias, y, weights, self.label_smoothing)
        return loss + sum(ops.sum(ops.cast(own, "float32")) for own in self.losses)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        decoder = keras.saving.serialize_keras_object(self.decoder)
        return {**super().get_config(), "decoder": decoder, "label_smoothing": self.label_smoothing}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> TrainedInChunks:
        """Build a model from the result of `get_config`."""
        decoder = keras.saving.deserialize_keras_object(config["decoder"], custom_objects=custom_objects)
        return cls(**{**config, "decoder": decoder})


def loss_of(
    inputs: Tensor, matrix: Tensor, bias: Tensor, targets: Tensor, weights: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Return the weighted mean of captioner.training.losses.cross_entropy, (), for an output layer's logits.

    With the probabilities p of a row's words, d loss / d z = p - (1 - e) onehot - e / V; the gradients of the inputs,
    the matrix and the bias follow from it. They are computed together with the loss, while the logits are in memory.

    Args:
        inputs: (n, width), in the type in which the products are computed.
        matrix: (width, words) float32.
        bias: (words,) float32.
        targets: (n,)
        weights: (n,)
        label_smoothing: e.
    """
    import tensorflow as tf

    words, kind = matrix.shape[-1], inputs.dtype
    rows = max(1, CHUNK // words)
    targets, shares = tf.cast(targets, "int32"), tf.math.divide_no_nan(weights, tf.reduce_sum(weights))  # (n,)
    evenly = label_smoothing / words

    @tf.custom_gradient
    def of_layer(inputs: Tensor, matrix: Tensor, bias: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        count = -(-tf.shape(inputs)[0] // rows)
        size = -(-tf.shape(inputs)[0] // tf.maximum(count, 1))
        kernel = tf.cast(matrix, kind)

        def add(number: Tensor, loss: Tensor, of_inputs: Any, of_matrix: Tensor, of_bias: Tensor) -> tuple[Any, ...]:
            here = slice(number * size, (number + 1) * size)
            some, share = inputs[here], shares[here][:, None]
            at = tf.stack([tf.range(tf.shape(some)[0]), targets[here]], axis=1)
            logits = tf.cast(tf.matmul(some, kernel), "float32") + bias  # slower in bfloat16
            probabilities = tf.nn.softmax(logits)
            chosen = tf.gather_nd(probabilities, at)

            def exactly() -> Tensor:  # a probability may be too small for a float
                return tf.reduce_logsumexp(logits, axis=-1) - tf.gather_nd(logits, at)

            each = tf.cond(tf.reduce_all(chosen > LEAST_PROBABILITY), lambda: -tf.math.log(chosen), exactly)
            if label_smoothing:
                each += label_smoothing * (tf.gather_nd(logits, at) - tf.reduce_mean(logits, axis=-1))
                probabilities -= evenly
            slopes = tf.tensor_scatter_nd_update(
                tf.cast(probabilities, kind), at, tf.cast(chosen - (1 - label_smoothing) - evenly, kind)
            )
            of_inputs = of_inputs.write(number, tf.matmul(slopes, kernel, transpose_b=True) * tf.cast(share, kind))
            of_matrix += tf.cast(tf.matmul(some * tf.cast(share, kind), slopes, transpose_a=True), "float32")
            of_bias += tf.cast(tf.matmul(tf.cast(share, kind), slopes, transpose_a=True), "float32")[0]
            return number + 1, loss + tf.reduce_sum(each * share[:, 0]), of_inputs, of_matrix, of_bias

        parts = tf.TensorArray(kind, count, infer_shape=False, element_shape=(None, inputs.shape[-1]))
        start = (0, 0.0, parts, tf.zeros_like(matrix), tf.zeros_like(bias))
        _, loss, parts, of_matrix, of_bias = tf.while_loop(
            lambda number, *_: number < count, add, start, parallel_iterations=1
        )
        of_inputs = parts.concat()

        def gradient(upstream: Tensor) -> tuple[Tensor, ...]:
            return tf.cast(upstream, kind) * of_inputs, upstream * of_matrix, upstream * of_bias

        return loss, gradient

    return of_layer(inputs, tf.convert_to_tensor(matrix), tf.convert_to_tensor(bias))
