"""Adaptive attention with a visual sentinel: "Knowing When to Look", Lu et al. 2017 (its equation numbers)."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from captioner.models.additive_attention import additive_scores
from captioner.models.config import AdaptiveConfig
from captioner.models.decoder import State, Tensor, per_caption
from captioner.models.layout import Layout
from captioner.models.recurrent import RecurrentDecoder


class AdaptiveMemory(NamedTuple):
    """What adaptive attention keeps of the pictures.

    Attributes:
        regions: (pictures, regions, units), eq. 16.
        keys: (pictures, regions, attention_units), what the output is compared with.
        whole: (pictures, embedding_size), the picture as it is read with every word, eq. 17.
    """

    regions: Tensor
    keys: Tensor
    whole: Tensor


@keras.saving.register_keras_serializable("captioner")
class AdaptiveDecoder(RecurrentDecoder):
    """The output looks at the regions and at a sentinel, which holds what the recurrent layer already knows.

    The recurrent layer reads each word beside the whole picture. Its output then attends to the regions and to the
    sentinel s = sigmoid(W_x x + W_h h_before) * tanh(memory); the share beta that the sentinel gets says how little
    the picture was needed for the word. What was seen goes to the output layer only, so that all words of a caption
    attend in one pass.

    Args:
        config: an AdaptiveConfig or its settings.
        vocabulary_size, feature_shape: see CaptionDecoder; the features are a grid.

    Raises:
        ConfigError: the features are one vector a picture.
    """

    config: AdaptiveConfig
    config_class = AdaptiveConfig

    def __init__(
        self,
        config: AdaptiveConfig | dict[str, Any],
        vocabulary_size: int,
        feature_shape: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(config, vocabulary_size, feature_shape, **kwargs)
        _, channels = self.require_grid()
        units, size, width = self.config.units, self.config.embedding_size, self.config.attention_units
        self.regions = self.picture_layer("regions", channels, units, activation="relu")
        self.whole = self.picture_layer("whole", channels, size, activation="relu")
        self.keys = self.dense("keys", units, width, use_bias=False)
        self.recurrent.build((None, None, 2 * size))
        self.gate_read = self.dense("gate_read", 2 * size, units)
        self.gate_recalled = self.dense("gate_recalled", units, units, use_bias=False)
        self.query = self.dense("query", units, width, use_bias=False)
        self.sentinel_key = self.dense("sentinel_key", units, width, use_bias=False)
        self.score = self.add_weight(shape=(width,), initializer="glorot_uniform", name="score")
        self.words = self.make_words(units)
        self.built = True

    def encode(self, features: Tensor, training: bool = False) -> AdaptiveMemory:
        """Return regions, keys and whole picture of features (pictures, regions, channels)."""
        seen = ops.cast(self.preprocess_features(features, training), self.compute_dtype)
        regions = self.regions(seen)
        return AdaptiveMemory(regions, self.keys(regions), self.whole(ops.mean(seen, axis=1)))

    def initial_state(self, memory: AdaptiveMemory, max_length: int) -> State:
        """Return zeros, (pictures, units) each."""
        return self.recurrent.initial_state(ops.shape(memory.whole)[0])

    def step(
        self, token: Tensor, position: Tensor, state: State, memory: AdaptiveMemory
    ) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step; the attention to the sentinel is 1 minus the sum of the others."""
        pictures = ops.shape(memory.whole)[0]
        words = self.words(token)  # (hypotheses, embedding_size)
        whole = per_caption(memory.whole, ops.shape(token)[0] // pictures)
        read = ops.concatenate([words, whole], axis=-1)  # (hypotheses, 2 x embedding_size)
        before = self.recurrent.output(state)
        output, state = self.recurrent.step(read, state)
        sentinel = self._sentinel(read, before, state[-1][-1])
        seen, attention = self._look(_by_picture(output, pictures), _by_picture(sentinel, pictures), memory)
        logits = self.logits(ops.reshape(seen, (-1, self.config.units)))
        return logits, state, ops.reshape(attention, (-1, self.feature_shape[0]))

    def hidden_at(self, tokens: Tensor, positions: Tensor, memory: AdaptiveMemory, training: bool = False) -> Tensor:
        """See CaptionDecoder.hidden_at: the recurrent layer runs word by word, then all words look at once."""
        layout = Layout(positions, *ops.shape(tokens))
        words = self.words(ops.take(ops.reshape(tokens, (-1,)), positions), training=training)
        read = ops.concatenate([words, layout.of_picture(memory.whole)], axis=-1)  # (n, 2 x embedding_size)
        outputs, before, memories = self._read_captions(read, layout, training)
        sentinels = self._sentinel(read, before, memories)
        outputs, sentinels = (_by_picture(layout.by_caption(x), layout.pictures) for x in (outputs, sentinels))
        seen, _ = self._look(outputs, sentinels, memory, training)  # (pictures, captions x time, units)
        return layout.in_a_row(seen)

    def _read_captions(self, read: Tensor, layout: Layout, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Run the recurrent layer over whole captions.

        Args:
            read: (n, 2 x embedding_size), the words at the layout's positions.
            layout: of the words.
            training: whether dropout is on.

        Returns:
            for each word the output after it, the output before it, and the memory after it, (n, units) each.
        """
        longest = layout.longest_first()
        weights = self.recurrent.cell_weights()
        masks = self.recurrent.masks(layout.rows, training)
        gates = ops.matmul(read, weights[0].kernel) + weights[0].bias
        by_time = longest.by_time(gates)  # (time, rows, gates x units)
        start = (ops.zeros((), "int32"), self.recurrent.initial_state(layout.rows))

        def advance(carry: Any, read: Tensor) -> tuple[Any, Any]:
            step, before = carry
            (state, read), (ended, _) = longest.divide((before, read), step)
            kept = keras.tree.map_structure(lambda mask: mask[: longest.open(step)], masks)
            recalled = state[0][0] * kept[0][1] if kept else state[0][0]
            recalled = ops.matmul(recalled, weights[0].recurrent_kernel)
            _, state = self.recurrent.advance(read, recalled, state, weights, kept)
            now = (step + 1, longest.join(state, ended))
            return now, now

        _, (_, states) = ops.scan(advance, start, by_time)
        outputs = self.recurrent.output(states)  # (time, rows, units)
        first = self.recurrent.output(self.recurrent.initial_state(layout.rows))
        before = ops.concatenate([first[None], outputs[:-1]])
        after, earlier, memories = (longest.in_a_row(x) for x in (outputs, before, states[-1][-1]))
        return after, earlier, memories

    def _sentinel(self, read: Tensor, before: Tensor, memory: Tensor) -> Tensor:
        """Return the sentinels (n, units) of what was read, the outputs before and the memories after, eq. 9 and 10."""
        return ops.sigmoid(self.gate_read(read) + self.gate_recalled(before)) * ops.tanh(memory)

    def _look(
        self, outputs: Tensor, sentinels: Tensor, memory: AdaptiveMemory, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Let outputs attend to the regions and to their own sentinel.

        Args:
            outputs, sentinels: (pictures, words, units).
            memory: of the pictures.
            training: whether a gradient will be computed.

        Returns:
            what the output layer reads (pictures, words, units), eq. 13, and the attention to the regions (pictures,
            words, regions), eq. 12.
        """
        pictures, regions = ops.shape(outputs)[0], self.feature_shape[0]
        score = ops.cast(self.score, self.compute_dtype)
        # Dense layers see rows: converters to ONNX lose the shape of a product over more axes.
        flat, flat_sentinels = (ops.reshape(x, (-1, self.config.units)) for x in (outputs, sentinels))
        flat_query = self.query(flat)  # (pictures x words, attention_units)
        scores = additive_scores(memory.keys, _by_picture(flat_query, pictures), score, training)
        of_sentinel = ops.matmul(ops.tanh(self.sentinel_key(flat_sentinels) + flat_query), score[:, None])
        scores = ops.concatenate([scores, ops.reshape(of_sentinel, (pictures, 1, -1))], axis=1)
        scores = ops.transpose(scores, (0, 2, 1))  # (pictures, words, regions + 1)
        shares = ops.cast(ops.softmax(ops.cast(scores, "float32"), axis=-1), scores.dtype)
        attention, beta = shares[..., :regions], shares[..., regions:]
        context = ops.matmul(attention, memory.regions) + beta * sentinels  # eq. 11
        return context + outputs, attention


def _by_picture(x: Tensor, pictures: Tensor) -> Tensor:
    """Lay rows (..., units) out by their pictures: (pictures, rows, units)."""
    return ops.reshape(x, (pictures, -1, x.shape[-1]))
