"""A decoder whose next word depends on the last word, the position and the picture through a table of random logits."""

import itertools

import numpy as np
from keras import ops

from captioner.generation.config import GenerationConfig
from captioner.generation.decode import make_search
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import SPECIALS, Vocabulary

WORDS = 9  # four specials and five words
VOCABULARY = Vocabulary([*SPECIALS, "a", "dog", "runs", "the", "cat"], "ptb", 40, {})


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


def random_table(length, words=WORDS, seed=0, end=0.0):
    """Return logits (length, words, words) with `end` added to those of <end>."""
    table = np.random.default_rng(seed).normal(size=(length, words, words)).astype("float32") * 2
    table[:, :, 2] += end
    return table


def random_features(pictures, seed=0, words=WORDS):
    """Return (pictures, words), the pictures' part of the logits."""
    return np.random.default_rng(seed).normal(size=(pictures, words)).astype("float32")


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    return (
        logits
        - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - logits.max(-1, keepdims=True)
    )


def search(decoder, features, n=1, first=0, **settings):
    """Run the search that the settings ask for, step by step without compiling it; return its arrays."""
    made = make_search(decoder, GenerationConfig(**settings), n, VOCABULARY)
    return run(made, features, first)


def run(made, features, first=0):
    """Run a search on features as one batch, without compiling it; return its arrays."""
    return _arrays(made(made.inputs(features, first)))


def run_compiled(made, features, first=0):
    """Run a search on features as one batch, compiled; return its arrays."""
    return _arrays(made.predict_on_batch(made.inputs(features, first)))


def _arrays(found):
    return {name: ops.convert_to_numpy(value) for name, value in found.items()}


def every_caption(log_probs, length, words=(4, 5, 6, 7, 8)):
    """Yield every caption of at most `length` words and its log-probability: what exhaustive search looks at.

    `log_probs` are (length, words, words); a caption that has room for it ends with <end>.
    """
    for size in range(length + 1):
        for body in itertools.product(words, repeat=size):
            tokens = [*body, 2] if size < length else list(body)
            yield tokens, log_prob_of(log_probs, tokens)


def log_prob_of(log_probs, tokens):
    """Return a caption's log-probability from those of each next word, (length, words, words)."""
    last, total = 1, 0.0
    for position, token in enumerate(tokens):
        total += log_probs[position, last, token]
        last = token
    return total


def caption_of(result, picture, rank=0):
    """Return one caption's tokens, <end> included."""
    return result["tokens"][picture, rank][: result["lengths"][picture, rank]].tolist()


def assert_same(result, other, rows=slice(None)):
    """Check that the rows of one result are another's: every word, log-probabilities to rounding, attention."""
    assert result.keys() == other.keys()
    for name in ("tokens", "lengths"):
        np.testing.assert_array_equal(result[name][rows], other[name])
    np.testing.assert_allclose(result["log_probs"][rows], other["log_probs"], atol=1e-4)
    if "attention" in result:
        for picture, rank in itertools.product(*map(range, other["lengths"].shape)):
            length = other["lengths"][picture, rank]
            ours = result["attention"][rows][picture, rank, :length]
            np.testing.assert_allclose(ours, other["attention"][picture, rank, :length], atol=1e-6)
