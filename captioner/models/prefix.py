"""A language model that reads a picture as a prefix (ClipCap; Mokady, Hertz and Bermano 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from captioner.config import ConfigError, build
from captioner.hub_presets import explained, import_keras_hub
from captioner.models.config import PrefixConfig
from captioner.models.decoder import CaptionDecoder, State, Tensor, per_caption
from captioner.models.transformer_layers import EncoderLayer
from captioner.models.words import normalized

SPECIALS = 4  # <pad>, <start>, <end> and <unk> begin every vocabulary
END = 2


@keras.saving.register_keras_serializable("captioner")
class PrefixDecoder(CaptionDecoder):
    """A mapping network turns a picture into the first inputs of KerasHub's GPT-2, which then continues with words.

    `mlp` is the paper's network with one tanh layer, half as wide as the whole prefix. `transformer` reads the picture
    as `prefix_length` vectors together with as many learned vectors, whose outputs are the prefix (section 3.1). The
    output at the last vector of the prefix predicts the first word, so `<start>` is never read.

    The words are the pieces of the language model: number n + 4 is its piece n, and `<end>` is its last piece, GPT-2's
    `<|endoftext|>`. Only `<pad>`, `<start>` and `<unk>` have additional outputs.

    Args:
        config: a PrefixConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are one vector per picture.
        network: the language model's configuration when a saved decoder is loaded; the file has the weights.

    Raises:
        ConfigError: the features are a grid, the vocabulary is not the language model's, or the model is not GPT-2.
        DataError: KerasHub is not installed, or the language model is not available.
    """

    def __init__(
        self,
        config: PrefixConfig | dict[str, Any],
        vocabulary_size: int,
        feature_shape: tuple[int, ...],
        network: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary_size, feature_shape, **kwargs)
        self.config = config = config if isinstance(config, PrefixConfig) else build(PrefixConfig, config)
        policy, channels = self.dtype_policy, self.require_vector()
        self.language_model = _language_model(config.language_model, network, policy.name)
        self.language_model.trainable = config.train_language_model
        pieces = self.language_model.vocabulary_size
        if vocabulary_size != pieces - 1 + SPECIALS:
            raise ConfigError(
                f"text.pieces: the vocabulary has {vocabulary_size - SPECIALS} words, but {config.language_model} has "
                f"{pieces - 1} pieces without its end; set text.vocabulary to bpe and text.pieces to the language model"
            )
        width = self.language_model.hidden_dim
        self.feature_dropout = keras.layers.Dropout(config.feature_dropout, dtype=policy)
        self.mapping = _MAPPINGS[config.mapping](config, channels, width, policy)
        self.others = self.add_weight(shape=(3, width), initializer="zeros", name="others")  # <pad>, <start>, <unk>
        self.others.assign(ops.tile(self.language_model.token_embedding.embeddings[-1:], (3, 1)))  # as likely as <end>
        self.built = True

    def encode(self, features: Tensor, training: bool = False) -> Tensor:
        """Return the prefix (pictures, prefix_length, width)."""
        features = normalized(features) if self.config.normalize else features
        return self.mapping(self.feature_dropout(features, training=training), training=training)

    def initial_state(self, memory: Tensor, max_length: int) -> State:
        """Return each layer's keys and values for the prefix without its last vector, and space for the words."""
        model, read = self.language_model, self.config.prefix_length - 1
        shape = (ops.shape(memory)[0], 2, read + max_length, model.num_heads, model.hidden_dim // model.num_heads)
        state = (ops.zeros(shape, dtype=self.compute_dtype),) * model.num_layers
        return self._read(memory[:, :-1], 0, state)[1] if read else state

    def step(self, token: Tensor, position: Tensor, state: State, memory: Tensor) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step."""
        hypotheses = ops.shape(token)[0]
        last = per_caption(memory[:, -1], hypotheses // ops.shape(memory)[0])  # (hypotheses, width)
        words = ops.where(ops.equal(position, 0), last, self._words(token))
        hidden, state = self._read(words[:, None], position + self.config.prefix_length - 1, state)
        return self.logits(hidden[:, 0]), state, ops.zeros((hypotheses, 0))

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at; every caption of a picture reads the prefix again."""
        pictures, captions, time = ops.shape(tokens)
        length, width = memory.shape[1:]
        prefix = ops.broadcast_to(memory[:, None], (pictures, captions, length, width))
        inputs = ops.concatenate([prefix, self._words(tokens[:, :, 1:])], axis=2)
        inputs = ops.reshape(inputs, (pictures * captions, length - 1 + time, width))
        hidden = self._run(inputs, training)[:, length - 1 :]  # (pictures x captions, time, width)
        return ops.take(ops.reshape(hidden, (-1, width)), positions, axis=0)

    def logits(self, hidden: Tensor, training: bool = False) -> Tensor:
        """See CaptionDecoder.logits."""
        own = self.language_model.token_embedding(hidden, reverse=True)  # (..., pieces)
        others = ops.matmul(hidden, ops.transpose(ops.cast(self.others, hidden.dtype)))
        others = ops.cast(others, own.dtype)
        return ops.concatenate([others[..., :2], own[..., -1:], others[..., 2:], own[..., :-1]], axis=-1)

    def _words(self, tokens: Tensor) -> Tensor:
        """Return the language model's embeddings (..., width) of tokens (...)."""
        end = self.language_model.vocabulary_size - 1
        return self.language_model.token_embedding(ops.where(tokens < SPECIALS, end, tokens - SPECIALS))

    def _run(self, inputs: Tensor, training: bool) -> Tensor:
        """Return the language model's output for inputs (rows, time, width) from position 0 on."""
        model = self.language_model
        x = model.embeddings_add((inputs, model.position_embedding(inputs)))
        x = model.embeddings_dropout(x, training=training)
        for layer in model.transformer_layers:
            x = layer(x, training=training)
        return model.layer_norm(x)

    def _read(self, inputs: Tensor, place: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output for inputs that begin at position `place`, and the extended keys and values."""
        model = self.language_model
        x = model.embeddings_add((inputs, model.position_embedding(inputs, start_index=place)))
        new_state = []
        for layer, cache in zip(model.transformer_layers, state, strict=True):
            x, cache = layer(x, self_attention_cache=cache, self_attention_cache_update_index=place, training=False)
            new_state.append(cache)
        return model.layer_norm(x), tuple(new_state)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        network = self.language_model.get_config()
        return {**super().get_config(), "config": asdict(self.config), "network": network}


class PrefixMLP(keras.layers.Layer):
    """Picture (pictures, channels) -> tanh of half the prefix' size -> prefix (pictures, prefix_length, width)."""

    def __init__(self, config: PrefixConfig, channels: int, width: int, policy: Any) -> None:
        super().__init__(dtype=policy, name="mapping")
        size = config.prefix_length * width
        self.inner = keras.layers.Dense(size // 2, activation="tanh", dtype=policy, name="inner")
        self.outer = keras.layers.Dense(size, dtype=policy, name="outer")
        self.shaped = keras.layers.Reshape((config.prefix_length, width), dtype=policy)
        self.inner.build((None, channels))
        self.outer.build((None, size // 2))
        self.built = True

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """Return the prefix."""
        return self.shaped(self.outer(self.inner(features)))


class PrefixTransformer(keras.layers.Layer):
    """Picture (pictures, channels) -> vectors and learned vectors -> self-attention -> outputs of the learned ones."""

    def __init__(self, config: PrefixConfig, channels: int, width: int, policy: Any) -> None:
        super().__init__(dtype=policy, name="mapping")
        self.length, self.width = config.prefix_length, width
        self.picture = keras.layers.Dense(config.prefix_length * width, dtype=policy, name="picture")
        self.picture.build((None, channels))
        self.learned = self.add_weight(
            shape=(config.prefix_length, width), initializer=keras.initializers.RandomNormal(stddev=1.0), name="learned"
        )
        block = (width, config.mapping_heads, 2 * width, 0.0)
        self.blocks = [EncoderLayer(*block, dtype=policy, name=f"block_{i}") for i in range(config.mapping_layers)]
        self.built = True

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """Return the prefix."""
        shape = (ops.shape(features)[0], self.length, self.width)
        picture = ops.reshape(self.picture(features), shape)
        learned = ops.broadcast_to(ops.cast(self.learned, picture.dtype)[None], shape)
        x = ops.concatenate([picture, learned], axis=1)
        for block in self.blocks:
            x = block(x, training=training)
        return x[:, self.length :]


_MAPPINGS: dict[str, Any] = {"mlp": PrefixMLP, "transformer": PrefixTransformer}


def _language_model(preset: str, network: Mapping[str, Any] | None, dtype: str) -> Any:
    """Return GPT-2's network: a preset with its weights, or a network with new weights from a configuration."""
    hub = import_keras_hub(preset)
    if network is not None:
        return hub.models.GPT2Backbone.from_config({**network, "dtype": dtype})
    with explained(preset, list(hub.models.GPT2Backbone.presets)):
        model = hub.models.Backbone.from_preset(preset, dtype=dtype)
    if not isinstance(model, hub.models.GPT2Backbone):
        raise ConfigError(f"model.language_model: {preset} is a {type(model).__name__}; prefix needs a GPT2Backbone")
    return model
