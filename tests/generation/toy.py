"""A decoder whose next word depends on the last word, the position and the picture through a table of random logits."""

import keras
import numpy as np
from keras import ops

from captioner.models.decoder import CaptionDecoder


class TableDecoder(CaptionDecoder):
    """Logits[position, last word] + features[picture]; its attention looks at the region of the last word."""

    def __init__(self, table, regions=0):
        super().__init__(table.shape[-1], (table.shape[-1],))
        self.table = self.add_weight(shape=table.shape, trainable=False, name="table")
        self.table.assign(table)
        self.regions = regions
        self.built = True

    def encode(self, features, training=False):
        return features

    def initial_state(self, memory, max_length):
        return (ops.zeros((ops.shape(memory)[0], 1)),)

    def step(self, token, position, state, memory):
        rows = ops.take(self.table, position, axis=0)  # (words, words)
        logits = ops.take(rows, token, axis=0)  # (hypotheses, words)
        logits = ops.reshape(logits, (ops.shape(memory)[0], -1, self.vocabulary_size)) + memory[:, None]
        attention = ops.one_hot(token, self.regions) if self.regions else ops.zeros((ops.shape(token)[0], 0))
        return ops.reshape(logits, (-1, self.vocabulary_size)), (state[0] + 1,), attention


def random_table(length, words, seed=0, end=0.0):
    """Return logits (length, words, words) with `end` added to those of <end>."""
    table = np.random.default_rng(seed).normal(size=(length, words, words)).astype("float32") * 2
    table[:, :, 2] += end
    return table


def log_softmax(logits):
    return logits - keras.ops.convert_to_numpy(keras.ops.logsumexp(logits, axis=-1, keepdims=True))
