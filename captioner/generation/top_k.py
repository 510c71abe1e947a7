"""Finds the most probable words of every hypothesis without a top_k over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from keras import ops

from captioner.generation.word_rules import IMPOSSIBLE

BLOCK = 64  # words

Tensor = Any


def top_k(logits: Tensor, count: int, forbidden: Collection[int]) -> tuple[Tensor, Tensor]:
    """Return the largest logits of every row and their words, in descending order.

    The `count` largest logits are in the `count` blocks of words with the largest maxima. A maximum costs a tenth of a
    top_k, and the top_k then has to search only a few blocks. A forbidden word can be the maximum of its block, so one
    more block is searched for each block with a forbidden word.

    Args:
        logits: (hypotheses, words) float32.
        count: the number of words to return.
        forbidden: words that rank last, with a logit of IMPOSSIBLE or below.

    Returns:
        logits (hypotheses, count) and words (hypotheses, count) int32; fewer if the vocabulary has fewer.
    """
    words = logits.shape[-1]
    blocks = -(-words // BLOCK)
    looked_through = count + len({word // BLOCK for word in forbidden})
    penalty = np.zeros(blocks * BLOCK, "float32")  # (blocks x BLOCK,)
    penalty[[*forbidden, *range(words, len(penalty))]] = IMPOSSIBLE
    if 4 * looked_through > blocks:  # most of the vocabulary would be searched
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
