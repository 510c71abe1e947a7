"""Recurrent layers that read whole captions in training and one word at a time in search, with the same weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from captioner.models.layout import Layout, LongestFirst
from captioner.models.recurrence import forward, run

Tensor = Any
CELLS = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
STATES = {"rnn": 1, "gru": 1, "lstm": 2}


class CellWeights(NamedTuple):
    """A cell's weights in the precision of the computation.

    Attributes:
        kernel: (channels, gates x units) for the input.
        recurrent_kernel: (units, gates x units) for the previous output.
        bias: (gates x units,).
        recurrent_bias: (gates x units,), only for a GRU, whose reset gate is applied between the two products.
    """

    kernel: Tensor
    recurrent_kernel: Tensor
    bias: Tensor
    recurrent_bias: Tensor | None


@keras.saving.register_keras_serializable("captioner")
class Recurrent(keras.layers.Layer):
    """A stack of one or more recurrent layers over words.

    A state is a tuple with one entry per layer, the tuple of that layer's arrays (hypotheses, units): (h, c) for an
    LSTM, (h,) otherwise.

    Args:
        cell: `rnn`, `gru` or `lstm`.
        units: width of every layer's output and of each of its states.
        layers: number of layers.
        recurrent_dropout: dropout rate of the previous output, with one mask for all words of a caption (Gal and
            Ghahramani 2016).
        dropout: dropout rate of the inputs of all layers but the first (Zaremba et al. 2014).
        layer_norm: whether each layer's output is normalized for the next layer (Ba et al. 2016); the state is not.
        l2: weight of the squares of all kernels in the loss.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        layers: int = 1,
        recurrent_dropout: float = 0.0,
        dropout: float = 0.0,
        layer_norm: bool = False,
        l2: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell_name, self.units, self.layer_count = cell, units, layers
        self.recurrent_dropout, self.dropout_rate, self.layer_norm, self.l2 = recurrent_dropout, dropout, layer_norm, l2
        policy = self.dtype_policy
        # Keras uses cuDNN automatically if it can: there is no mask, since captions are padded on the right.
        # Without cuDNN, its layers multiply the input separately at each step, so captions are then run by hand.
        options: dict[str, Any] = {}
        if cell != "rnn" and keras.backend.backend() == "jax" and self.compute_dtype != "float32":
            options["use_cudnn"] = False  # JAX's cuDNN layers support only float32 and float64, and fail late
        if l2:
            options |= {"kernel_regularizer": keras.regularizers.L2(l2)}
            options |= {"recurrent_regularizer": keras.regularizers.L2(l2)}
        self.layers = [
            CELLS[cell](
                units,
                return_sequences=True,
                recurrent_dropout=recurrent_dropout,
                dtype=policy,
                name=f"{cell}_{index}",
                **options,
            )
            for index in range(layers)
        ]
        self.between = keras.layers.Dropout(dropout, dtype=policy)
        self.within = keras.layers.Dropout(recurrent_dropout, dtype=policy)  # for captions that are run by hand
        self.norms = [
            keras.layers.LayerNormalization(dtype=policy, name=f"norm_{index}") for index in range(layers * layer_norm)
        ]

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs (captions, time, channels)."""
        channels = input_shape[-1]
        for layer in self.layers:
            layer.build((None, None, channels))
            channels = self.units
        for norm in self.norms:
            norm.build((None, None, self.units))
        self.built = True

    def read_captions(self, inputs: Tensor, state: Any, layout: Layout, training: bool = False) -> Tensor:
        """Read whole captions.

        Args:
            inputs: (n, channels), read with each word.
            state: the captions' initial state, with leaves (captions, units).
            layout: the layout of the words.
            training: whether dropout is on.

        Returns:
            (n, units)
        """
        longest = None if self._has_cudnn() else layout.longest_first()
        weights = [] if longest is None else self.cell_weights()
        for index, layer in enumerate(self.layers):
            if index:
                inputs = self.between(inputs, training=training)
            if longest is not None:
                outputs = self._run(inputs, state[index], weights[index], longest, training)
            else:
                padded = layout.by_caption(inputs)  # (captions, time, channels)
                outputs = layout.in_a_row(layer(padded, initial_state=list(state[index]), training=training))
            inputs = self._normalized(index, outputs)
        return inputs

    @staticmethod
    def _has_cudnn() -> bool:
        return keras.distribution.list_devices()[0].startswith(("gpu", "cuda"))

    def _run(
        self,
        inputs: Tensor,
        state: tuple[Tensor, ...],
        weights: CellWeights,
        longest: LongestFirst,
        training: bool,
    ) -> Tensor:
        """Run one layer; its inputs (n, channels) are multiplied by the kernel in one product for all steps."""
        read = longest.by_time(ops.matmul(inputs, weights.kernel) + weights.bias)  # (time, rows, gates x units)
        state = tuple(ops.take(leaf, longest.order, axis=0) for leaf in state)
        mask = self.within(ops.ones_like(state[0]), training=training) if self.recurrent_dropout and training else None
        outputs = run(self.cell_name, read, state, weights.recurrent_kernel, weights.recurrent_bias, mask, longest)
        return longest.in_a_row(outputs)

    def initial_state(self, batch_size: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Return zeros, each (batch_size, units)."""
        zeros = ops.zeros((batch_size, self.units), dtype=self.compute_dtype)
        return ((zeros,) * STATES[self.cell_name],) * self.layer_count

    def state_from(self, output: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Return a state in which all layers have the output (batch_size, units); an LSTM's memory is zero."""
        others = (ops.zeros_like(output),) * (STATES[self.cell_name] - 1)
        return ((output, *others),) * self.layer_count

    def output(self, state: Any) -> Tensor:
        """Return the output (..., units) of a state: that of the top layer."""
        return self._normalized(self.layer_count - 1, state[-1][0])

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read one input (hypotheses, channels); return the output (hypotheses, units) and the new state."""
        new_state = []
        for index, layer in enumerate(self.layers):
            output, new = layer.cell(inputs, list(state[index]), training=False)
            new_state.append(tuple(new) if isinstance(new, list | tuple) else (new,))
            inputs = self._normalized(index, output)
        return inputs, tuple(new_state)

    def cell_weights(self) -> list[CellWeights]:
        """Return the layers' weights, for a decoder that runs them by hand."""
        weights = []
        for layer in self.layers:
            cell = layer.cell
            kernel, recurrent_kernel, bias = (
                ops.cast(weight, self.compute_dtype) for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
            )
            biases = (bias[0], bias[1]) if self.cell_name == "gru" else (bias, None)
            weights.append(CellWeights(kernel, recurrent_kernel, *biases))
        return weights

    def masks(self, captions: Tensor, training: bool) -> list[tuple[Tensor, Tensor]]:
        """Return, for each layer, the dropout masks (captions, units) of its input and of its previous output.

        The list is empty without dropout.
        """
        if not training or not (self.dropout_rate or self.recurrent_dropout):
            return []
        ones = ops.ones((captions, self.units), dtype=self.compute_dtype)
        return [
            (self.between(ones, training=training), self.within(ones, training=training))
            for _ in range(self.layer_count)
        ]

    def advance(
        self,
        read: Tensor,
        recalled: Tensor,
        state: Any,
        weights: list[CellWeights],
        masks: list[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Any]:
        """Take a step of all layers by hand.

        Args:
            read: (n, gates x units), the first layer's input times its kernel, plus bias.
            recalled: (n, gates x units), the first layer's previous output times its recurrent kernel.
            state: the previous state.
            weights: the result of `cell_weights`.
            masks: the result of `masks`.

        Returns:
            The output (n, units) and the new state.
        """
        new_state: list[tuple[Tensor, ...]] = []
        output: Tensor = None
        for index, layer in enumerate(weights):
            if index:
                below, before = output, state[index][0]
                if masks:
                    below, before = below * masks[index][0], before * masks[index][1]
                read = ops.matmul(below, layer.kernel) + layer.bias
                recalled = ops.matmul(before, layer.recurrent_kernel)
            if layer.recurrent_bias is not None:
                recalled = recalled + layer.recurrent_bias
            new_state.append(forward(self.cell_name, read, recalled, state[index])[0])
            output = self._normalized(index, new_state[-1][0])
        return output, tuple(new_state)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "cell": self.cell_name,
            "units": self.units,
            "layers": self.layer_count,
            "recurrent_dropout": self.recurrent_dropout,
            "dropout": self.dropout_rate,
            "layer_norm": self.layer_norm,
            "l2": self.l2,
        }

    def _normalized(self, index: int, output: Tensor) -> Tensor:
        return self.norms[index](output) if self.norms else output
