"""A decoder together with the upper layers of the encoder, which are trained with it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.keras_settings import tensorflow_on_cpu
from captioner.models.decoder import CaptionDecoder, State, Tensor

AT_ONCE = 64  # pictures whose vectors are computed together


class MeanRegion(keras.Model):
    """Inner grids (pictures, regions, channels) -> a FineTunedDecoder's `vectors`, compiled."""

    def __init__(self, decoder: FineTunedDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        if tensorflow_on_cpu():
            self.jit_compile = False
        self.built = True

    def call(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.decoder.vectors(features)

    def of(self, features: np.ndarray) -> np.ndarray:
        """Return the vectors (pictures, channels) of any number of pictures."""
        found = []
        for start in range(0, len(features), AT_ONCE):
            part = features[start : start + AT_ONCE]
            rows = np.arange(1 << (len(part) - 1).bit_length())  # few sizes: each is compiled
            vectors = self.predict_on_batch(part[np.minimum(rows, len(part) - 1)])
            found.append(ops.convert_to_numpy(vectors)[: len(part)])
        return np.concatenate(found)


@keras.saving.register_keras_serializable("captioner")
class FineTunedDecoder(CaptionDecoder):
    """Runs the upper layers of an encoder on an inner grid of the encoder, and a decoder on their output.

    For all other code it is a decoder that reads the inner grid, so training, search and saving need no special cases,
    and the fine-tuned weights are stored in the `.keras` file. The lower layers are frozen: their output is extracted
    once, which makes fine-tuning affordable without a GPU.

    Args:
        decoder: reads the last grid (regions, channels) of `tail`.
        tail: (pictures, rows, columns, channels) -> (pictures, rows, columns, channels).
    """

    def __init__(self, decoder: CaptionDecoder, tail: keras.Model, **kwargs: Any) -> None:
        rows, columns, channels = tail.input_shape[1:]
        super().__init__(decoder.vocabulary_size, (rows * columns, channels), **kwargs)
        self.decoder, self.tail = decoder, tail
        self.built = True

    @property
    def config(self) -> Any:
        """The decoder's settings."""
        return self.decoder.config

    @property
    def words(self) -> Any:
        """The decoder's words."""
        return self.decoder.words

    def see(self, features: Tensor) -> Tensor:
        """Return the last grid (pictures, regions, channels) of inner grids (pictures, regions, channels)."""
        grid = ops.reshape(features, (-1, *self.tail.input_shape[1:]))
        regions, channels = self.decoder.feature_shape
        return ops.reshape(self.tail(grid, training=False), (-1, regions, channels))

    def vectors(self, features: Tensor) -> Tensor:
        """Return the mean (pictures, channels) of the last grid's regions."""
        return ops.mean(ops.cast(self.see(features), "float32"), axis=1)

    def encode(self, features: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.encode."""
        return self.decoder.encode(self.see(features), training=training)

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """See CaptionDecoder.initial_state."""
        return self.decoder.initial_state(memory, max_length)

    def step(self, token: Tensor, position: Tensor, state: State, memory: Tensor) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step; the attention is over the regions of the last grid."""
        return self.decoder.step(token, position, state, memory)

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at."""
        return self.decoder.hidden_at(tokens, positions, memory, training=training)

    def logits(self, hidden: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.logits."""
        return self.decoder.logits(hidden, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["vocabulary_size"], config["feature_shape"]
        return {
            **config,
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "tail": keras.saving.serialize_keras_object(self.tail),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FineTunedDecoder:
        """Build a decoder from the result of `get_config`."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("decoder", "tail")
        }
        return cls(**{**config, **parts})
