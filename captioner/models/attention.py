"""Soft attention over regions: "Show, Attend and Tell", Xu et al. 2015 (equation numbers are the paper's)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from captioner.models.additive_attention import additive_scores
from captioner.models.cells import STATES, CellWeights
from captioner.models.config import AttentionConfig
from captioner.models.decoder import State, Tensor, per_caption
from captioner.models.late_gradients import LateProducts, before_each
from captioner.models.layout import Layout
from captioner.models.recurrent import RecurrentDecoder


class Memory(NamedTuple):
    """What the attention model keeps of the pictures.

    Attributes:
        regions: (pictures, regions, channels).
        keys: (pictures, regions, attention_units), what the state is compared with.
        first: (pictures, states x layers x units), the recurrent layers' first state.
    """

    regions: Tensor
    keys: Tensor
    first: Tensor


class StepWeights(NamedTuple):
    """The weights of a step in the precision of the computation, cast once and not at every step.

    Attributes:
        cells: of the recurrent layers.
        of_word: (embedding_size, gates x units), the first layer's kernel for the word.
        of_context: (channels, gates x units), its kernel for the context.
        query_bias: (attention_units,).
        gate_bias: (1,).
        score: (attention_units,), v of the attention.
    """

    cells: list[CellWeights]
    of_word: Tensor
    of_context: Tensor
    query_bias: Tensor
    gate_bias: Tensor
    score: Tensor


class AttentionProducts(NamedTuple):
    """The matrix products of a step.

    Attributes:
        read: of the context (n, channels): what the first layer's gates get from the word and the context.
        recall: of the first layer's previous output (n, units): what they get from it.
        ask: of the uppermost layer's previous output (n, units): U h of the attention, (n, attention_units), and in the
            last column the context gate.
    """

    read: Callable[[Tensor], Tensor]
    recall: Callable[[Tensor], Tensor]
    ask: Callable[[Tensor], Tensor]


@keras.saving.register_keras_serializable("captioner")
class AttentionDecoder(RecurrentDecoder):
    """At every word the previous output looks at the regions; their weighted mean, the context, is read with the word.

    Scores are v . tanh(W a + U h), the context is gated by a scalar beta of the previous output, the first state comes
    from the mean region, and the output layer reads word, output and context (eq. 7, the deep output).

    Args:
        config: an AttentionConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are a grid.

    Raises:
        ConfigError: the features are one vector a picture.
    """

    config: AttentionConfig
    config_class = AttentionConfig

    def __init__(
        self,
        config: AttentionConfig | dict[str, Any],
        vocabulary_size: int,
        feature_shape: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(config, vocabulary_size, feature_shape, **kwargs)
        _, channels = self.require_grid()
        settings = self.config
        units, embedding_size = settings.units, settings.embedding_size
        self.keys = self.picture_layer("keys", channels, settings.attention_units)
        states = STATES[settings.cell] * settings.layers
        self.first = self.picture_layer("first", channels, states * units, activation="tanh")
        self.recurrent.build((None, None, embedding_size + channels))
        self.query = self.dense("query", units, settings.attention_units + 1)  # the last column is the context gate's
        self.score = self.add_weight(shape=(settings.attention_units,), initializer="glorot_uniform", name="score")
        self.output_words = self.dense("output_words", units, embedding_size)
        self.context_words = self.dense("context_words", channels, embedding_size)
        self.words = self.make_words(embedding_size)
        self.built = True

    def encode(self, features: Tensor, training: bool = False) -> Memory:
        """Return regions, keys and first state of features (pictures, regions, channels)."""
        regions = ops.cast(self.preprocess_features(features, training), self.compute_dtype)
        return Memory(regions, self.keys(regions), self.first(ops.mean(regions, axis=1)))

    def initial_state(self, memory: Memory, max_length: int) -> State:
        """Return the recurrent layers' first state, (pictures, units) each."""
        return self._split_state(memory.first)

    def _split_state(self, first: Tensor) -> State:
        per_layer = STATES[self.config.cell]
        parts = ops.split(first, per_layer * self.config.layers, axis=-1)
        return tuple(tuple(parts[layer * per_layer : (layer + 1) * per_layer]) for layer in range(self.config.layers))

    def step(self, token: Tensor, position: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step."""
        weights = self._step_weights()
        words = self.words(token)  # (hypotheses, embedding_size)
        read, (of_context, of_output, of_query) = self._read(words, weights), self._kernels(weights)
        products = AttentionProducts(
            lambda context: read + ops.matmul(context, of_context),
            lambda output: ops.matmul(output, of_output),
            lambda output: ops.matmul(output, of_query),
        )
        output, state, context, attention = self._advance(products, state, memory, weights, [], None)
        logits = self.logits(ops.concatenate([words, output, context], axis=-1))
        return logits, state, attention

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: Memory, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at.

        The captions are in the order of their lengths; see LongestFirst.
        """
        layout = Layout(positions, *ops.shape(tokens))
        longest = layout.longest_first()
        words = self.words(ops.take(ops.reshape(tokens, (-1,)), positions), training=training)  # (n, embedding_size)
        weights = self._step_weights()
        masks = self.recurrent.masks(layout.rows, training)
        read = longest.by_time(self._read(words, weights))  # (time, rows, gates x units)
        late = LateProducts(self._kernels(weights), longest, read)
        nothing = ops.zeros((layout.rows, 1), self.compute_dtype)
        start = (
            ops.zeros((), "int32"),
            self._split_state(ops.take(per_caption(memory.first, layout.captions), longest.order, axis=0)),
            nothing + ops.zeros((1, self.feature_shape[1]), self.compute_dtype),
            nothing + ops.zeros((1, self.feature_shape[0]), self.compute_dtype),
        )

        def advance(carry: Any, room: Tensor) -> tuple[Any, Any]:
            step, before, *_ = carry
            active = longest.open(step)
            (state, room), (ended, _) = longest.divide((before, room), step)
            kept = keras.tree.map_structure(lambda mask: mask[:active], masks)
            places = (longest.order[:active], layout.rows)
            products = AttentionProducts(*late.at(room))
            _, state, *seen = self._advance(products, state, memory, weights, kept, places, training)
            now = (step + 1, longest.join(state, ended), *longest.fill(seen))
            return now, now

        _, (_, states, contexts, attention) = ops.scan(advance, start, late.room)
        before = before_each(start[1], states)
        recalled = before[0][0] * masks[0][1] if masks else before[0][0]
        late.end(contexts, recalled, self.recurrent.output(before))
        if training and self.config.doubly_stochastic:
            by_time = ops.transpose(ops.take(ops.reshape(tokens, (-1, layout.time)), longest.order, axis=0))
            self.add_loss(self.config.doubly_stochastic * _unseen(attention, by_time))
        outputs = self.recurrent.output(states)
        parts = [words, longest.in_a_row(outputs), longest.in_a_row(contexts)]
        return ops.concatenate(parts, axis=-1)  # (n, embedding_size + units + channels)

    def before_output(self, hidden: Tensor, training: bool = False) -> Tensor:
        """Return the sum of word, output and context, which are side by side (eq. 7)."""
        size, units = self.config.embedding_size, self.config.units
        words, output, context = ops.split(hidden, [size, size + units], axis=-1)
        return words + self.output_words(output) + self.context_words(context)

    def _step_weights(self) -> StepWeights:
        cells = self.recurrent.cell_weights()
        of_word, of_context = ops.split(cells[0].kernel, [self.config.embedding_size])
        bias, score = (ops.cast(weight, self.compute_dtype) for weight in (self.query.bias, self.score))
        return StepWeights(cells, of_word, of_context, bias[:-1], bias[-1:], score)

    def _kernels(self, weights: StepWeights) -> tuple[Tensor, Tensor, Tensor]:
        """Return the kernels of AttentionProducts."""
        return weights.of_context, weights.cells[0].recurrent_kernel, ops.cast(self.query.kernel, self.compute_dtype)

    def _read(self, words: Tensor, weights: StepWeights) -> Tensor:
        """Return what the words (..., embedding_size) give to the first layer's gates: for all steps in one product."""
        return ops.matmul(words, weights.of_word) + weights.cells[0].bias

    def _advance(
        self,
        products: AttentionProducts,
        state: State,
        memory: Memory,
        weights: StepWeights,
        masks: list[tuple[Tensor, Tensor]],
        laid_out: tuple[Tensor, Tensor] | None,
        training: bool = False,
    ) -> tuple[Tensor, State, Tensor, Tensor]:
        """Look, then read the word and what was seen.

        Args:
            products: of this step and the hypotheses' words.
            state, memory: see CaptionDecoder.step.
            weights: from `_step_weights`.
            masks: of the recurrent layers' dropout.
            laid_out: the place of each hypothesis among the pictures' captions side by side, (hypotheses,), and how
                many places there are; None where they are in that order already.
            training: whether a gradient will be computed.

        Returns:
            output (hypotheses, units), the new state, context (hypotheses, channels), attention (hypotheses, regions).
        """
        recalled = self.recurrent.output(state)  # (hypotheses, units)
        query, gate = ops.split(products.ask(recalled), [self.config.attention_units], axis=-1)
        query = query + weights.query_bias
        pictures = ops.shape(memory.regions)[0]
        if laid_out is not None:
            query = ops.scatter(laid_out[0][:, None], query, (laid_out[1], self.config.attention_units))
        beside = ops.reshape(query, (pictures, -1, self.config.attention_units))
        scores = additive_scores(memory.keys, beside, weights.score, training)  # eq. 4
        scores = ops.transpose(scores, (0, 2, 1))  # (pictures, beams, regions)
        attention = ops.cast(ops.softmax(ops.cast(scores, "float32"), axis=-1), scores.dtype)  # eq. 5
        context = ops.matmul(attention, memory.regions)  # (pictures, beams, channels), eq. 13
        context = ops.reshape(context, (-1, self.feature_shape[1]))
        attention = ops.reshape(attention, (-1, self.feature_shape[0]))
        if laid_out is not None:
            context, attention = (ops.take(x, laid_out[0], axis=0) for x in (context, attention))
        context = ops.sigmoid(gate + weights.gate_bias) * context
        before = state[0][0] * masks[0][1] if masks else state[0][0]
        read, recalled = products.read(context), products.recall(before)
        output, state = self.recurrent.advance(read, recalled, state, weights.cells, masks)
        return output, state, context, attention


def _unseen(attention: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean over captions and regions of (1 - attention over the caption) ** 2.

    Args:
        attention: (time, captions, regions).
        tokens: (time, captions), 0 where there is no word.
    """
    real = ops.cast(tokens != 0, "float32")
    paid = ops.sum(ops.cast(attention, "float32") * real[..., None], axis=0)  # (captions, regions)
    captions = ops.max(real, axis=0)  # (captions,), 0 where a picture has fewer than others
    return ops.sum(ops.mean(ops.square(1.0 - paid), axis=-1) * captions) / ops.maximum(ops.sum(captions), 1.0)
