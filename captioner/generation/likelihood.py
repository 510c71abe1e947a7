"""The likelihood of texts and of single words for a picture; search by text uses both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from captioner.generation.padding import padded
from captioner.keras_settings import tensorflow_on_cpu
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import PAD

LARGEST_LOGITS = 2**25  # largest number of logits in a batch
FEWEST_PAIRS = 8


class PairLikelihood(keras.Model):
    """Computes log p(text | picture) of some texts for each picture, in one teacher-forced pass.

    `call((features, tokens))` takes features (pictures, ...) and padded tokens (pictures, texts, time), from `<start>`
    to `<end>`, and returns (pictures, texts) float32.

    Args:
        decoder: the trained decoder.
    """

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        if tensorflow_on_cpu():
            self.jit_compile = False

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """See the class."""
        features, tokens = inputs
        targets = tokens[:, :, 1:]
        logits = ops.cast(self.decoder((features, tokens[:, :, :-1])), "float32")  # (pictures, texts, time, words)
        of_targets = ops.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        log_probs = of_targets - ops.logsumexp(logits, axis=-1)
        return ops.sum(ops.where(targets == PAD, 0.0, log_probs), axis=-1)


class WordProbabilities(keras.Model):
    """Computes each word's largest probability at any position of a picture's caption.

    `call((features, tokens))` takes features (pictures, ...) and one caption per picture, (pictures, time), from
    `<start>` on, and returns (pictures, words) float32.

    Args:
        decoder: the trained decoder.
    """

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        if tensorflow_on_cpu():
            self.jit_compile = False

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """See the class."""
        features, tokens = inputs
        logits = ops.cast(self.decoder((features, tokens)), "float32")  # (pictures, time, words)
        real = tokens[:, :, None] != PAD
        return ops.max(ops.where(real, ops.softmax(logits, axis=-1), 0.0), axis=1)


class Likelihood:
    """Runs both models on any number of pictures and texts, in batches of one size, so that each is compiled once.

    Args:
        decoder: the trained decoder.
        max_length: the largest number of words of a text, including `<end>`; longer texts are cut off.
    """

    def __init__(self, decoder: CaptionDecoder, max_length: int) -> None:
        self.max_length = max_length
        self._pairs, self._words = PairLikelihood(decoder), WordProbabilities(decoder)
        self._room = max(FEWEST_PAIRS, LARGEST_LOGITS // (max_length * decoder.vocabulary_size))

    def padded(self, texts: Sequence[Sequence[int]]) -> np.ndarray:
        """Return texts, numbers from `<start>` to `<end>`, as an array (texts, max_length + 1) int32."""
        return padded(texts, self.max_length)

    def of_pairs(self, features: Any, tokens: np.ndarray) -> np.ndarray:
        """Return log p(text | picture) of some texts for each picture.

        Args:
            features: (pictures, ...), or a tuple of these for an ensemble.
            tokens: (pictures, texts, max_length + 1) from `padded`; a text of only `<pad>` gives 0.

        Returns:
            (pictures, texts) float32
        """
        pictures, texts = tokens.shape[:2]
        wide = min(_power(texts), self._room)
        high = max(1, min(_power(pictures), self._room // wide))
        result = np.zeros((pictures, texts), np.float32)
        for top in range(0, pictures, high):
            rows = np.minimum(np.arange(top, top + high), pictures - 1)
            part = tree.map_structure(lambda leaf, rows=rows: leaf[rows], features)
            for left in range(0, texts, wide):
                columns = np.minimum(np.arange(left, left + wide), texts - 1)
                found = self._pairs.predict_on_batch((part, tokens[rows][:, columns]))
                block = result[top : top + high, left : left + wide]
                block[:] = np.asarray(found)[: block.shape[0], : block.shape[1]]
        return result

    def of_all(self, features: Any, tokens: np.ndarray) -> np.ndarray:
        """Return log p(text | picture) of every text (texts, max_length + 1) for every picture: (pictures, texts)."""
        pictures = len(tree.flatten(features)[0])
        return self.of_pairs(features, np.broadcast_to(tokens, (pictures, *tokens.shape)))

    def words(self, features: Any, tokens: np.ndarray) -> np.ndarray:
        """Return how likely each word is for each picture, given one text per picture.

        Args:
            features: (pictures, ...)
            tokens: (pictures, max_length + 1) from `padded`.

        Returns:
            (pictures, words) float32, 0 to 1
        """
        pictures = len(tokens)
        high = max(1, min(_power(pictures), self._room))
        result = []
        for top in range(0, pictures, high):
            rows = np.minimum(np.arange(top, top + high), pictures - 1)
            part = tree.map_structure(lambda leaf, rows=rows: leaf[rows], features)
            found = np.asarray(self._words.predict_on_batch((part, tokens[rows][:, :-1])))
            result.append(found[: pictures - top])
        return np.concatenate(result)


def _power(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()
