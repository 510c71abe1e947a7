"""The most probable words of every hypothesis, without a search for the best through the whole vocabulary."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from keras import ops

from captioner.generation.word_rules import IMPOSSIBLE

BLOCK = 64  # words

Tensor = Any


def top_k(logits: Tensor, count: int, forbidden: Collection[int]) -> tuple[Tensor, Tensor]:
    """Return the largest logits of every row and their words, falling.

    The `count` largest lie in the `count` blocks of words with the largest maxima. A maximum costs a tenth of a top_k,
    and what a top_k then has to look through is a few blocks. A forbidden word can be its block's maximum, so that as
    many more blocks are looked through as hold one.

    Args:
        logits: (hypotheses, words) float32.
        count: how many.
        forbidden: words that come last, with a logit of IMPOSSIBLE or below.

    Returns:
        logits (hypotheses, count) and words (hypotheses, count) int32; fewer where the vocabulary has fewer.
    """
    words = logits.shape[-1]
    blocks = -(-words // BLOCK)
    looked_through = count + len({word // BLOCK for word in forbidden})
    penalty = np.zeros(blocks * BLOCK, "float32")  # (blocks x BLOCK,)
    penalty[[*forbidden, *range(words, len(penalty))]] = IMPOSSIBLE
    if 4 * looked_through > blocks:  # most of the vocabulary would be looked through
        best, found = ops.top_k(logits + penalty[:words], min(count, words))
        return best, ops.cast(found, "int32")
    rows = ops.shape(logits)[0]
    padded = ops.pad(logits, ((0, 0), (0, blocks * BLOCK - words)), constant_values=2 * IMPOSSIBLE)
    padded = ops.reshape(padded, (-1, blocks, BLOCK))
    _, chosen = ops.top_k(ops.max(padded, axis=-1), looked_through)  # (hypotheses, looked_through)
    chosen = ops.cast(chosen, "int32")
    places = ops.reshape(chosen + ops.arange(rows)[:, None] * blocks, (-1,))
    candidates = ops.take(ops.reshape(padded, (-1, BLOCK)), places, axis=0)  # (hypotheses x looked_through, BLOCK)
    candidates += ops.take(ops.reshape(penalty, (blocks, BLOCK)), ops.reshape(chosen, (-1,)), axis=0)
    best, place = ops.top_k(ops.reshape(candidates, (-1, looked_through * BLOCK)), count)
    place = ops.cast(place, "int32")
    return best, ops.take_along_axis(chosen, place // BLOCK, axis=1) * BLOCK + place % BLOCK
