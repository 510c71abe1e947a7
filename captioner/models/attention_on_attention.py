"""Attention on Attention: Huang et al. 2019 (equation numbers are the paper's)."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from captioner.models.cells import CellWeights
from captioner.models.config import AttentionOnAttentionConfig
from captioner.models.decoder import State, Tensor, per_caption
from captioner.models.layout import Layout
from captioner.models.recurrent import RecurrentDecoder


class RefinedMemory(NamedTuple):
    """What attention on attention keeps of the pictures.

    Attributes:
        keys, values: (pictures, heads, regions, units / heads).
        mean: (pictures, units), the mean refined region.
    """

    keys: Tensor
    values: Tensor
    mean: Tensor


@keras.saving.register_keras_serializable("captioner")
class GatedAttention(keras.layers.Layer):
    """What was seen, and a gate that says how much of it answers the question: I * sigmoid(G), eq. 3 to 5.

    Both are linear in the query q and the seen vector v: I = W_q q + W_v v + b, G likewise.

    Args:
        units: width of queries, values and result.
        heads: of the scaled dot-product attention.
    """

    def __init__(self, units: int, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.heads = units, heads
        policy = self.dtype_policy
        self.query = keras.layers.Dense(units, dtype=policy, name="query")
        self.keys_values = keras.layers.Dense(2 * units, dtype=policy, name="keys_values")
        self.information_gate = keras.layers.Dense(2 * units, dtype=policy, name="information_gate")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights."""
        self.query.build((None, self.units))
        self.keys_values.build((None, self.units))
        self.information_gate.build((None, 2 * self.units))
        self.built = True

    def read(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (pictures, heads, regions, units / heads) of regions (pictures, regions, units)."""
        keys, values = ops.split(self.keys_values(regions), 2, axis=-1)
        return self._by_head(keys), self._by_head(values)

    def call(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Attend and gate.

        Args:
            queries: (pictures, queries, units).
            keys, values: see `read`.

        Returns:
            (pictures, queries, units), and the attention (pictures, queries, regions), the mean over the heads.
        """
        asked = self._by_head(self.query(queries))  # (pictures, heads, queries, units / heads)
        scores = ops.matmul(asked, ops.transpose(keys, (0, 1, 3, 2))) * (self.units // self.heads) ** -0.5
        attention = ops.cast(ops.softmax(ops.cast(scores, "float32"), axis=-1), scores.dtype)
        seen = ops.transpose(ops.matmul(attention, values), (0, 2, 1, 3))
        seen = ops.reshape(seen, (ops.shape(seen)[0], -1, self.units))
        information, gate = ops.split(self.information_gate(ops.concatenate([queries, seen], axis=-1)), 2, axis=-1)
        return information * ops.sigmoid(gate), ops.mean(attention, axis=1)

    def _by_head(self, x: Tensor) -> Tensor:
        split = ops.reshape(x, (ops.shape(x)[0], -1, self.heads, self.units // self.heads))
        return ops.transpose(split, (0, 2, 1, 3))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "heads": self.heads}


@keras.saving.register_keras_serializable("captioner")
class AttentionOnAttentionDecoder(RecurrentDecoder):
    """The recurrent layer reads each word beside the mean region and what was seen before; its output looks again.

    Regions are refined by self-attention with a gate, a residual and a layer norm (eq. 8 to 10). What the output layer
    reads is the gated attention of the recurrent layer's output (eq. 13).

    Args:
        config: an AttentionOnAttentionConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are a grid.

    Raises:
        ConfigError: the features are one vector a picture.
    """

    config: AttentionOnAttentionConfig
    config_class = AttentionOnAttentionConfig

    def __init__(
        self,
        config: AttentionOnAttentionConfig | dict[str, Any],
        vocabulary_size: int,
        feature_shape: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(config, vocabulary_size, feature_shape, **kwargs)
        _, channels = self.require_grid()
        settings, policy = self.config, self.dtype_policy
        units, size = settings.units, settings.embedding_size
        self.regions = self.picture_layer("regions", channels, units, activation="relu")
        self.refining = [
            GatedAttention(units, settings.heads, dtype=policy, name=f"refining_{index}")
            for index in range(settings.refining_layers)
        ]
        self.refining_norms = [
            keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy, name=f"refining_norm_{index}")
            for index in range(settings.refining_layers)
        ]
        self.refining_dropout = keras.layers.Dropout(settings.refining_dropout, dtype=policy)
        self.looking = GatedAttention(units, settings.heads, dtype=policy, name="looking")
        for layer in (*self.refining, self.looking):
            layer.build()
        for norm in self.refining_norms:
            norm.build((None, None, units))
        self.recurrent.build((None, None, size + units))
        self.words = self.make_words(units)
        self.built = True

    def encode(self, features: Tensor, training: bool = False) -> RefinedMemory:
        """Return keys, values and mean of the refined regions of features (pictures, regions, channels)."""
        regions = self.regions(ops.cast(self.preprocess_features(features, training), self.compute_dtype))
        for layer, norm in zip(self.refining, self.refining_norms, strict=True):
            refined, _ = layer(regions, *layer.read(regions))
            regions = norm(regions + self.refining_dropout(refined, training=training))
        return RefinedMemory(*self.looking.read(regions), ops.mean(regions, axis=1))

    def initial_state(self, memory: RefinedMemory, max_length: int) -> State:
        """Return zeros (pictures, units): the recurrent layers' state, and what was seen."""
        pictures = ops.shape(memory.mean)[0]
        seen = ops.zeros((pictures, self.config.units), dtype=self.compute_dtype)
        return (self.recurrent.initial_state(pictures), seen)

    def step(
        self, token: Tensor, position: Tensor, state: State, memory: RefinedMemory
    ) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step; the attention is the mean over the heads."""
        weights = self.recurrent.cell_weights()
        words = self.words(token)  # (hypotheses, embedding_size)
        state, attention = self._advance(self._read(words, weights), state, memory, weights, [], None)
        return self.logits(state[1]), state, attention

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: RefinedMemory, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at: a step has no work with captions that have ended."""
        layout = Layout(positions, *ops.shape(tokens))
        longest = layout.longest_first()
        flat = ops.reshape(tokens, (-1, layout.time))
        by_time = ops.transpose(ops.take(flat, longest.order, axis=0))  # (time, rows)
        weights = self.recurrent.cell_weights()
        masks = self.recurrent.masks(layout.rows, training)
        seen = ops.zeros((layout.rows, self.config.units), dtype=self.compute_dtype)
        start = (ops.zeros((), "int32"), (self.recurrent.initial_state(layout.rows), seen))

        def advance(carry: Any, read: Tensor) -> tuple[Any, Any]:
            step, before = carry
            active = longest.open(step)
            state = keras.tree.map_structure(lambda leaf: leaf[:active], before)
            kept = keras.tree.map_structure(lambda mask: mask[:active], masks)
            places = (longest.order[:active], layout.rows)
            now, _ = self._advance(read[:active], state, memory, weights, kept, places)
            now = keras.tree.map_structure(lambda new, old: ops.concatenate([new, old[active:]]), now, before)
            return (step + 1, now), (step + 1, now)

        read = self._read(self.words(by_time, training=training), weights)
        _, (_, (_, looked)) = ops.scan(advance, start, read)  # (time, rows, units)
        return ops.take(ops.reshape(looked, (-1, self.config.units)), longest.places, axis=0)

    def _read(self, words: Tensor, weights: list[CellWeights]) -> Tensor:
        """Return what the words (..., embedding_size) give to the first layer's gates: for all steps in one product."""
        return ops.matmul(words, weights[0].kernel[: self.config.embedding_size]) + weights[0].bias

    def _advance(
        self,
        read: Tensor,
        state: State,
        memory: RefinedMemory,
        weights: list[CellWeights],
        masks: list[tuple[Tensor, Tensor]],
        laid_out: tuple[Tensor, Tensor] | None,
    ) -> tuple[State, Tensor]:
        """Read a word, then look.

        Args:
            read: (hypotheses, gates x units) from `_read`.
            state, memory: see CaptionDecoder.step.
            weights, masks: of the recurrent layers.
            laid_out: where each hypothesis belongs among the pictures' captions side by side, (hypotheses,), and how
                many places there are; None where all are there in their order.

        Returns:
            the new state, and the attention (hypotheses, regions).
        """
        recurrent, seen = state
        pictures, units = ops.shape(memory.mean)[0], self.config.units
        picture = per_caption(memory.mean, (ops.shape(seen)[0] if laid_out is None else laid_out[1]) // pictures)
        if laid_out is not None:
            picture = ops.take(picture, laid_out[0], axis=0)
        kernel = weights[0].kernel[self.config.embedding_size :]
        recalled = recurrent[0][0] * masks[0][1] if masks else recurrent[0][0]
        output, recurrent = self.recurrent.advance(
            read + ops.matmul(picture + seen, kernel),  # eq. 12
            ops.matmul(recalled, weights[0].recurrent_kernel),
            recurrent,
            weights,
            masks,
        )
        queries = output
        if laid_out is not None:
            queries = ops.scatter(laid_out[0][:, None], output, (laid_out[1], units))
        queries = ops.reshape(queries, (pictures, -1, units))
        seen, attention = self.looking(queries, memory.keys, memory.values)
        seen, attention = ops.reshape(seen, (-1, units)), ops.reshape(attention, (-1, self.feature_shape[0]))
        if laid_out is not None:
            seen, attention = (ops.take(x, laid_out[0], axis=0) for x in (seen, attention))
        return (recurrent, seen), attention
