"""A transformer decoder with cross-attention to the picture (Vaswani et al. 2017), pre-norm (Xiong et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import build
from captioner.models.config import TransformerConfig
from captioner.models.decoder import CaptionDecoder, State, Tensor
from captioner.models.layout import Layout
from captioner.models.transformer_layers import DecoderLayer, EncoderLayer, Pair, keys_and_values
from captioner.models.words import Words, normalized


@keras.saving.register_keras_serializable("captioner")
class TransformerDecoder(CaptionDecoder):
    """Self-attention over the words so far and cross-attention to the regions, in `layers` pre-norm layers.

    Word positions are sinusoids (Vaswani et al. 2017, section 3.5), so the length of captions is not limited; region
    positions are learned. A picture's captions share its memory, the keys and values of all layers, computed once.

    Args:
        config: a TransformerConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are a grid.

    Raises:
        ConfigError: the features are one vector per picture.
    """

    def __init__(
        self,
        config: TransformerConfig | dict[str, Any],
        vocabulary_size: int,
        feature_shape: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary_size, feature_shape, **kwargs)
        self.config = config = config if isinstance(config, TransformerConfig) else build(TransformerConfig, config)
        policy, width = self.dtype_policy, config.embedding_size
        regions, channels = self.require_grid()
        self.feature_dropout = keras.layers.Dropout(config.feature_dropout, dtype=policy)
        self.picture = keras.layers.Dense(
            width,
            kernel_regularizer=keras.regularizers.L2(config.l2.picture) if config.l2.picture else None,
            dtype=policy,
            name="picture",
        )
        self.picture.build((None, channels))
        self.region_positions = self.add_weight(
            shape=(regions, width), initializer=keras.initializers.RandomNormal(stddev=0.02), name="region_positions"
        )
        block = (width, config.heads, config.feedforward_units, config.dropout)
        self.encoder_layers = [
            EncoderLayer(*block, dtype=policy, name=f"encoder_{index}") for index in range(config.encoder_layers)
        ]
        self.memory_norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy, name="memory_norm")
        self.memory_norm.build((None, None, width))
        self.memory_layer = keras.layers.Dense(2 * width * config.layers, dtype=policy, name="memory")
        self.memory_layer.build((None, width))
        self.decoder_layers = [
            DecoderLayer(*block, dtype=policy, name=f"decoder_{index}") for index in range(config.layers)
        ]
        self.output_norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy, name="output_norm")
        self.output_norm.build((None, None, width))
        self.words = Words(vocabulary_size, width, config, dtype=policy, name="words")
        self.words.build()
        self.built = True

    def encode(self, features: Tensor, training: bool = False) -> tuple[Pair, ...]:
        """Return each layer's keys and values, (pictures, heads, regions, width / heads) each."""
        features = normalized(features) if self.config.normalize else features
        regions = self.picture(self.feature_dropout(features, training=training))  # (pictures, regions, width)
        regions = regions + ops.cast(self.region_positions, regions.dtype)
        for layer in self.encoder_layers:
            regions = layer(regions, training=training)
        memory = self.memory_layer(self.memory_norm(regions))
        return tuple(keys_and_values(one, self.config.heads) for one in ops.split(memory, self.config.layers, axis=-1))

    def initial_state(self, memory: tuple[Pair, ...], max_length: int) -> State:
        """Return empty caches of keys and values per layer, (pictures, heads, max_length, width / heads) each."""
        heads, size = self.config.heads, self.config.embedding_size // self.config.heads
        empty = ops.zeros((ops.shape(memory[0][0])[0], heads, max_length, size), dtype=self.compute_dtype)
        return ((empty, empty),) * self.config.layers

    def step(
        self, token: Tensor, position: Tensor, state: State, memory: tuple[Pair, ...]
    ) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step; the attention is the mean over the heads of the last layer."""
        x = self._placed(self.words(token), ops.cast(ops.reshape(position, (1,)), "float32"))  # (hypotheses, width)
        new_state = []
        for layer, keys_values, cache in zip(self.decoder_layers, memory, state, strict=True):
            x, cache, attention = layer.step(x, position, cache, keys_values)
            new_state.append(cache)
        logits = self.logits(self.output_norm(x))
        return logits, tuple(new_state), attention

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: tuple[Pair, ...], training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at; norms and dense layers process only the words at `positions`."""
        layout = Layout(positions, *ops.shape(tokens))
        words = self.words(ops.take(ops.reshape(tokens, (-1,)), positions), training=training)  # (n, width)
        x = self._placed(words, ops.cast(positions % layout.time, "float32"))
        for layer, keys_values in zip(self.decoder_layers, memory, strict=True):
            x = layer.read_captions(x, keys_values, layout, training)
        return self.output_norm(x)

    def _placed(self, words: Tensor, places: Tensor) -> Tensor:
        """Scale embeddings (n, width) by the root of their width and add the sinusoids of `places` (n,) or (1,)."""
        width = self.config.embedding_size
        rates = np.exp(-math.log(10000.0) * np.arange(0, width, 2) / width).astype("float32")  # (width / 2,)
        angles = places[:, None] * rates
        sinusoids = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)[:, :width]  # (n, width)
        return words * width**0.5 + ops.cast(sinusoids, words.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "config": asdict(self.config)}
