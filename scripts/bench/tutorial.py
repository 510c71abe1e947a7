"""The method of the well-known Flickr8k tutorial, as a reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np


def make_model(words: int, longest: int, channels: int, units: int = 256) -> keras.Model:
    """Return the tutorial's merge model: (picture, left-padded prefix) -> softmax over the next word."""
    picture = keras.Input((channels,))
    picture_part = keras.layers.Dense(units, activation="relu")(keras.layers.Dropout(0.5)(picture))
    prefix = keras.Input((longest,))
    embedded = keras.layers.Embedding(words, units, mask_zero=True)(prefix)
    words_part = keras.layers.LSTM(units)(keras.layers.Dropout(0.5)(embedded))
    joint = keras.layers.Dense(units, activation="relu")(keras.layers.add([picture_part, words_part]))
    model = keras.Model([picture, prefix], keras.layers.Dense(words, activation="softmax")(joint))
    model.compile(loss="categorical_crossentropy", optimizer="adam")
    return model


def examples(
    features: np.ndarray, captions: Sequence[Sequence[Sequence[int]]], words: int, longest: int
) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """Yield one batch per picture: every prefix of its captions, left-padded, and every next word, one-hot."""
    for row, picture in enumerate(captions):
        prefixes, targets = [], []
        for caption in picture:
            for end in range(1, len(caption)):
                prefixes.append(caption[:end])
                targets.append(caption[end])
        padded = keras.utils.pad_sequences(prefixes, maxlen=longest)
        vectors = np.repeat(features[row : row + 1], len(prefixes), axis=0)
        yield [vectors, padded], keras.utils.to_categorical(targets, words)


def caption(model: keras.Model, vector: np.ndarray, start: int, end: int | None, longest: int, steps: int) -> list[int]:
    """Decode greedily as the tutorial does: one `predict` of the whole prefix per word, one picture at a time.

    The prefix is padded to `longest`. The caption has at most `steps` words and stops at `end`, unless that is None.
    """
    tokens = [start]
    for _ in range(steps):
        prefix = keras.utils.pad_sequences([tokens], maxlen=longest)
        tokens.append(int(np.argmax(model.predict([vector[None], prefix], verbose=0))))
        if tokens[-1] == end:
            break
    return tokens
