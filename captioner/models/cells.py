"""Recurrent layers that run over whole captions in training and one word at a time in search, with the same weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

CELLS = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}


class Recurrent(keras.layers.Layer):
    """One recurrent layer over words.

    Args:
        cell: `rnn`, `gru` or `lstm`.
        units: width of its output and of each of its states.
    """

    def __init__(self, cell: str, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cell_name = cell
        self.units = units
        # cuDNN, where there is one, is used by itself: no mask is given, captions are padded on the right.
        options: dict[str, Any] = {}
        if cell != "rnn" and keras.backend.backend() == "jax" and self.compute_dtype != "float32":
            options["use_cudnn"] = False  # JAX's cuDNN layers know float32 and float64 only, and fail late
        self.layer = CELLS[cell](units, return_sequences=True, dtype=self.dtype_policy, name=cell, **options)
        self.state_count = 2 if cell == "lstm" else 1

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs (captions, time, channels)."""
        self.layer.build((None, None, input_shape[-1]))
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Run over inputs (captions, time, channels), from a state of zeros, to outputs (captions, time, units)."""
        return self.layer(inputs, training=training)

    def initial_state(self, batch_size: Any) -> tuple[Any, ...]:
        """Return zeros, one (batch_size, units) per state: two for an LSTM, one otherwise."""
        return tuple(ops.zeros((batch_size, self.units), dtype=self.compute_dtype) for _ in range(self.state_count))

    def step(self, inputs: Any, state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Read one input (hypotheses, channels); return the output (hypotheses, units) and the new state."""
        output, new_state = self.layer.cell(inputs, list(state), training=False)
        return output, tuple(new_state) if isinstance(new_state, list | tuple) else (new_state,)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "cell": self.cell_name, "units": self.units}
