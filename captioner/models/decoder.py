"""The decoder contract: the methods of every architecture."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.config import ConfigError

Tensor = Any
State = Any  # nested tuples of tensors, each (hypotheses, ...)


class CaptionDecoder(keras.Model):
    """A language model conditioned on a picture: maps features and the words so far to the logits of the next word.

    A subclass creates and builds its layers in `__init__`, with its Words as `words` and its settings as `config`. It
    implements `encode`, `initial_state`, `step`, `hidden_at` and `logits`; `call` (teacher forcing) uses them. Search,
    training, attention maps and export use only these methods.

    Args:
        vocabulary_size: number of words, including the four special ones.
        feature_shape: shape of one picture's features, (channels,) or (regions, channels).
    """

    def __init__(self, vocabulary_size: int, feature_shape: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.feature_shape = tuple(feature_shape)

    def encode(self, features: Tensor, training: bool = False) -> Tensor:
        """Return the memory: a representation of the pictures, computed once per picture.

        Args:
            features: (pictures, channels) or (pictures, regions, channels).
            training: whether dropout is on.
        """
        raise _missing(self, "encode")

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """Return the state before the first word, with leaves (pictures, ...) whose other axes have static sizes."""
        raise _missing(self, "initial_state")

    def step(self, token: Tensor, position: Tensor, state: State, memory: Tensor) -> tuple[Tensor, State, Tensor]:
        """Read one word and predict the next, without dropout.

        Args:
            token: (hypotheses,) the last word of each hypothesis; hypotheses = pictures x beams, picture by picture.
            position: scalar, the index of `token` in the caption; 0 for `<start>`.
            state: leaves (hypotheses, ...).
            memory: (pictures, ...) from `encode`, not copied per beam.

        Returns:
            logits (hypotheses, words), the new state, and the attention (hypotheses, regions); regions is 0 without
            attention.
        """
        raise _missing(self, "step")

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """Return the input of the output layer at some positions, in one teacher-forced pass.

        Args:
            tokens: (pictures, captions, time), beginning with `<start>`, padded on the right.
            positions: (n,), distinct indices into the flattened tokens; every word of a caption is among them.
            memory: (pictures, ...) from `encode`, shared by a picture's captions.
            training: whether dropout is on.

        Returns:
            (n, units)
        """
        raise _missing(self, "hidden_at")

    def hidden(self, tokens: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """Return `hidden_at` for every position: (pictures, captions, time, units)."""
        shape = ops.shape(tokens)
        everywhere = ops.arange(shape[0] * shape[1] * shape[2])
        hidden = self.hidden_at(tokens, everywhere, memory, training=training)
        return ops.reshape(hidden, (*shape, hidden.shape[-1]))

    def logits(self, hidden: Tensor, training: bool = False) -> Tensor:
        """Return the words' logits (..., words) for the result of `hidden_at` (..., units)."""
        return self.words.logits(self.before_output(hidden, training=training), training=training)

    def before_output(self, hidden: Tensor, training: bool = False) -> Tensor:
        """Return the input of Words.logits (..., width) for the result of `hidden_at` (..., units)."""
        return hidden

    def call(self, inputs: tuple[Tensor, ...], training: bool = False) -> Tensor:
        """Return the logits of whole captions in one pass; logits[t] predicts tokens[t + 1].

        Args:
            inputs: (features, tokens) or (features, tokens, positions): features (pictures, ...); tokens (pictures,
                time) or (pictures, captions, time); positions (n,), distinct indices into the flattened tokens at
                which logits are computed. They include every word, but may leave out the padding.
            training: whether dropout is on.

        Returns:
            (pictures, time, words), (pictures, captions, time, words), or with positions (n, words)
        """
        features, tokens, *positions = inputs
        one_caption = len(tokens.shape) == 2
        if one_caption:
            tokens = tokens[:, None]  # (pictures, 1, time)
        memory = self.encode(features, training=training)
        if positions:
            return self.logits(self.hidden_at(tokens, positions[0], memory, training=training), training=training)
        hidden = self.hidden(tokens, memory, training=training)  # (pictures, captions, time, units)
        return self.logits(hidden[:, 0] if one_caption else hidden, training=training)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the logits' shape."""
        _, tokens, *positions = input_shape
        return (*(positions[0] if positions else tokens), self.vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "feature_shape": list(self.feature_shape),
        }

    def require_vector(self) -> int:
        """Return the number of channels, for an architecture that takes one vector per picture.

        Raises:
            ConfigError: the features are a grid.
        """
        if len(self.feature_shape) != 1:
            regions, channels = self.feature_shape
            raise ConfigError(
                f"model: {type(self).__name__} takes one vector per picture, but the features are a grid of {regions} "
                f"regions x {channels}; extract the layer pool, or choose an architecture that reads regions"
            )
        return self.feature_shape[0]

    def require_grid(self) -> tuple[int, int]:
        """Return the numbers of regions and channels, for an architecture that reads a grid of regions.

        Raises:
            ConfigError: the features are one vector per picture.
        """
        if len(self.feature_shape) != 2:
            raise ConfigError(
                f"model: {type(self).__name__} reads a grid of regions, but the features are one vector of "
                f"{self.feature_shape[0]} numbers per picture; extract the layer grid (VGG's block5_pool), or choose "
                "an architecture that takes a vector"
            )
        return self.feature_shape[0], self.feature_shape[1]


def per_caption(memory: Tensor, captions: Tensor) -> Tensor:
    """Repeat each picture's row for its captions or beams: (pictures, channels) -> (pictures x captions, channels)."""
    pictures, channels = ops.shape(memory)[0], memory.shape[-1]
    return ops.reshape(ops.broadcast_to(memory[:, None], (pictures, captions, channels)), (-1, channels))


def _missing(decoder: CaptionDecoder, method: str) -> TypeError:
    return TypeError(f"{type(decoder).__name__} does not implement {method} of the decoder contract")
