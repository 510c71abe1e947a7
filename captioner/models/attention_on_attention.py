"""Attention on Attention: Huang et al. 2019 (equation numbers are the paper's)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from captioner.models.cells import CellWeights
from captioner.models.config import AttentionOnAttentionConfig
from captioner.models.decoder import State, Tensor, per_caption
from captioner.models.late_gradients import LateProducts, before_each
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
        seen, attention = self.look(self.query(queries), keys, values)
        return gated(self.information_gate(ops.concatenate([queries, seen], axis=-1))), attention

    def look(self, asked: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Attend with what `query` made of the queries; see `call`. Nothing is gated yet."""
        asked = self._by_head(asked)  # (pictures, heads, queries, units / heads)
        scores = ops.matmul(asked, ops.transpose(keys, (0, 1, 3, 2))) * (self.units // self.heads) ** -0.5
        attention = ops.cast(ops.softmax(ops.cast(scores, "float32"), axis=-1), scores.dtype)
        seen = ops.transpose(ops.matmul(attention, values), (0, 2, 1, 3))
        return ops.reshape(seen, (ops.shape(seen)[0], -1, self.units)), ops.mean(attention, axis=1)

    def _by_head(self, x: Tensor) -> Tensor:
        split = ops.reshape(x, (ops.shape(x)[0], -1, self.heads, self.units // self.heads))
        return ops.transpose(split, (0, 2, 1, 3))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "heads": self.heads}


def gated(information_and_gate: Tensor) -> Tensor:
    """Return the information, gated, (..., units), of both side by side (..., 2 x units)."""
    information, gate = ops.split(information_and_gate, 2, axis=-1)
    return information * ops.sigmoid(gate)


class GatedAttentionProducts(NamedTuple):
    """The matrix products of a step.

    Attributes:
        read: of mean region and what was seen before (n, units): what the first layer's gates get from word and both.
        recall: of the first layer's previous output (n, units): what they get from it.
        ask: of the output (n, units): the query.
        inform: of output and seen vector side by side (n, 2 x units): information and gate, (n, 2 x units).
    """

    read: Callable[[Tensor], Tensor]
    recall: Callable[[Tensor], Tensor]
    ask: Callable[[Tensor], Tensor]
    inform: Callable[[Tensor], Tensor]


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
        weights, looking = self.recurrent.cell_weights(), self.looking
        of_word, of_others = self._input_kernels(weights)
        read = ops.matmul(self.words(token), of_word) + weights[0].bias
        products = GatedAttentionProducts(
            lambda others: read + ops.matmul(others, of_others),
            lambda output: ops.matmul(output, weights[0].recurrent_kernel),
            looking.query,
            looking.information_gate,
        )
        state, _, attention = self._advance(products, state, memory, weights, [], None)
        return self.logits(state[1]), state, attention

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: RefinedMemory, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at; for the order of the captions see LongestFirst."""
        layout = Layout(positions, *ops.shape(tokens))
        longest = layout.longest_first()
        words = self.words(ops.take(ops.reshape(tokens, (-1,)), positions), training=training)  # (n, embedding_size)
        weights = self.recurrent.cell_weights()
        masks = self.recurrent.masks(layout.rows, training)
        of_word, of_others = self._input_kernels(weights)
        read = longest.by_time(ops.matmul(words, of_word) + weights[0].bias)  # (time, rows, gates x units)
        dense = (self.looking.query, self.looking.information_gate)
        kernels = [ops.cast(layer.kernel, self.compute_dtype) for layer in dense]
        biases = [ops.cast(layer.bias, self.compute_dtype) for layer in dense]
        late = LateProducts([of_others, weights[0].recurrent_kernel, *kernels], longest, read)
        nothing = ops.zeros((layout.rows, self.config.units), dtype=self.compute_dtype)
        first = (self.recurrent.initial_state(layout.rows), nothing)
        start = (ops.zeros((), "int32"), first, nothing)

        def advance(carry: Any, room: Tensor) -> tuple[Any, Any]:
            step, before, _ = carry
            active = longest.open(step)
            (state, room), (ended, _) = longest.divide((before, room), step)
            kept = keras.tree.map_structure(lambda mask: mask[:active], masks)
            read, recall, ask, inform = late.at(room)
            products = GatedAttentionProducts(
                read, recall, lambda x: ask(x) + biases[0], lambda x: inform(x) + biases[1]
            )
            places = (longest.order[:active], layout.rows)
            state, seen, _ = self._advance(products, state, memory, weights, kept, places)
            now = (step + 1, longest.join(state, ended), longest.fill(seen))
            return now, now

        _, (_, (states, informed), seen) = ops.scan(advance, start, late.room)  # leaves (time, rows, units)
        before, informed_before = before_each(first, (states, informed))
        recalled = before[0][0] * masks[0][1] if masks else before[0][0]
        outputs = self.recurrent.output(states)
        pictures = ops.take(per_caption(memory.mean, layout.captions), longest.order, axis=0)  # (rows, units)
        late.end(pictures + informed_before, recalled, outputs, ops.concatenate([outputs, seen], axis=-1))
        return longest.in_a_row(informed)

    def _input_kernels(self, weights: list[CellWeights]) -> tuple[Tensor, Tensor]:
        """Return the first layer's kernels for the word, and for mean region and what was seen before (eq. 12)."""
        of_word, of_others = ops.split(weights[0].kernel, [self.config.embedding_size])
        return of_word, of_others

    def _advance(
        self,
        products: GatedAttentionProducts,
        state: State,
        memory: RefinedMemory,
        weights: list[CellWeights],
        masks: list[tuple[Tensor, Tensor]],
        laid_out: tuple[Tensor, Tensor] | None,
    ) -> tuple[State, Tensor, Tensor]:
        """Read a word, then look.

        Args:
            products: of this step and the hypotheses' words.
            state, memory: see CaptionDecoder.step.
            weights, masks: of the recurrent layers.
            laid_out: where each hypothesis belongs among the pictures' captions side by side, (hypotheses,), and how
                many places there are; None where all are there in their order.

        Returns:
            the new state, what was seen before it was gated (hypotheses, units), the attention (hypotheses, regions).
        """
        recurrent, informed = state
        pictures, units = ops.shape(memory.mean)[0], self.config.units
        picture = per_caption(memory.mean, (ops.shape(informed)[0] if laid_out is None else laid_out[1]) // pictures)
        if laid_out is not None:
            picture = ops.take(picture, laid_out[0], axis=0)
        before = recurrent[0][0] * masks[0][1] if masks else recurrent[0][0]
        read, recalled = products.read(picture + informed), products.recall(before)
        output, recurrent = self.recurrent.advance(read, recalled, recurrent, weights, masks)
        asked = products.ask(output)
        if laid_out is not None:
            asked = ops.scatter(laid_out[0][:, None], asked, (laid_out[1], units))
        asked = ops.reshape(asked, (pictures, -1, units))
        seen, attention = self.looking.look(asked, memory.keys, memory.values)
        seen, attention = ops.reshape(seen, (-1, units)), ops.reshape(attention, (-1, self.feature_shape[0]))
        if laid_out is not None:
            seen, attention = (ops.take(x, laid_out[0], axis=0) for x in (seen, attention))
        informed = gated(products.inform(ops.concatenate([output, seen], axis=-1)))
        return (recurrent, informed), seen, attention
