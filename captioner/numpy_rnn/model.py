"""A captioning model: the picture is the recurrent network's first hidden state ("init-inject", Tanti et al. 2018)."""

from __future__ import annotations

import numpy as np

from captioner.numpy_rnn.cells import CELLS, State, Weights
from captioner.numpy_rnn.layers import (
    Array,
    Tokens,
    affine_backward,
    affine_forward,
    embedding_backward,
    embedding_forward,
    temporal_softmax_loss,
)
from captioner.numpy_rnn.sequence import first_state, initial_weights, sequence_backward, sequence_forward

CELL_WEIGHTS = ("kernel", "recurrent_kernel", "bias")


class CaptioningRNN:
    """picture -> affine -> first hidden state; words -> embedding -> cell -> affine -> logits of the next word.

    Attributes:
        weights: name -> array: picture_w (F, H), picture_b (H,), embedding (V, D), the cell's kernel, recurrent_kernel
            and bias (see `captioner.numpy_rnn.cells`), vocabulary_w (H, V) and vocabulary_b (V,). Optimizers change
            them in place.
    """

    def __init__(
        self,
        features: int,
        vocabulary: int,
        *,
        cell: str = "lstm",
        embedding: int = 128,
        units: int = 128,
        pad: int = 0,
        seed: int = 0,
        dtype: type[np.floating] = np.float32,
    ) -> None:
        """Make a model with random weights.

        Args:
            features: F, the length of a picture's vector.
            vocabulary: V, the number of words, special tokens included.
            cell: "rnn", "lstm" or "gru".
            embedding: D, the length of a word's vector.
            units: H, the length of the hidden state.
            pad: the token that fills short captions up; it is never predicted nor counted.
            seed: of the first weights.
            dtype: float32 to train, float64 to check gradients.

        Raises:
            ValueError: there is no such cell.
        """
        if cell not in CELLS:
            raise ValueError(f"cell {cell!r} is unknown; known: {', '.join(CELLS)}")
        self.cell, self.pad = CELLS[cell], pad
        generator = np.random.default_rng(seed)
        weights = {
            "picture_w": generator.normal(size=(features, units)) / np.sqrt(features),
            "picture_b": np.zeros(units),
            "embedding": 0.05 * generator.normal(size=(vocabulary, embedding)),
            **initial_weights(self.cell, embedding, units, generator),
            "vocabulary_w": generator.normal(size=(units, vocabulary)) / np.sqrt(units),
            "vocabulary_b": np.zeros(vocabulary),
        }
        self.weights: Weights = {name: array.astype(dtype) for name, array in weights.items()}

    def loss(self, features: Array, captions: Tokens) -> tuple[float, Weights]:
        """Teacher forcing: predict each word from the picture and the true words before it.

        Args:
            features: (N, F).
            captions: (N, T + 1) tokens: <start>, the words, <end>, padding.

        Returns:
            The loss in nats per real word, and its gradient for every array in `weights`.
        """
        w = self.weights
        inputs, targets = captions[:, :-1], captions[:, 1:]  # (N, T) each
        h0, picture_cache = affine_forward(features.astype(w["picture_w"].dtype), w["picture_w"], w["picture_b"])
        words, word_cache = embedding_forward(inputs, w["embedding"])  # (N, T, D)
        hidden, caches = sequence_forward(words, h0, self._cell_weights(), self.cell)  # (N, T, H)
        logits, logit_cache = affine_forward(hidden, w["vocabulary_w"], w["vocabulary_b"])  # (N, T, V)
        loss, dlogits = temporal_softmax_loss(logits, targets, targets != self.pad)

        dhidden, dvocabulary_w, dvocabulary_b = affine_backward(dlogits, logit_cache)
        dwords, dh0, dcell = sequence_backward(dhidden, caches, self.cell)
        _, dpicture_w, dpicture_b = affine_backward(dh0, picture_cache)
        gradients = {
            "picture_w": dpicture_w,
            "picture_b": dpicture_b,
            "embedding": embedding_backward(dwords, word_cache),
            **dcell,
            "vocabulary_w": dvocabulary_w,
            "vocabulary_b": dvocabulary_b,
        }
        return loss, gradients

    def decode(self, features: Array, start: int, end: int, max_length: int) -> list[list[int]]:
        """Greedy decoding: at each step the most probable next word.

        Args:
            features: (N, F).
            start: the token that begins a caption.
            end: the token that ends one.
            max_length: in words; a caption that has not ended by then is cut.

        Returns:
            For each picture its words' tokens, without `start` and `end`.
        """
        w = self.weights
        h0, _ = affine_forward(features.astype(w["picture_w"].dtype), w["picture_w"], w["picture_b"])
        state: State = first_state(h0, self.cell)
        tokens = np.full(len(features), start)  # (N,)
        finished = np.zeros(len(features), dtype=bool)  # (N,)
        steps = []
        for _ in range(max_length):
            state, _ = self.cell.forward(w["embedding"][tokens], state, self._cell_weights())
            logits, _ = affine_forward(state[0], w["vocabulary_w"], w["vocabulary_b"])  # (N, V)
            logits[:, [self.pad, start]] = -np.inf  # they are never a next word
            tokens = logits.argmax(axis=1)
            steps.append(tokens)
            finished |= tokens == end
            if finished.all():
                break
        captions = np.stack(steps, axis=1).tolist() if steps else [[] for _ in features]  # (N, steps)
        return [caption[: caption.index(end)] if end in caption else caption for caption in captions]

    def _cell_weights(self) -> Weights:
        return {name: self.weights[name] for name in CELL_WEIGHTS}
