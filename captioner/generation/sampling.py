"""Sampling: draws words by their probability, with random numbers that are given as input."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops, tree

from captioner.generation.hypotheses import Choice, Hypotheses, Tensor
from captioner.generation.search import Search
from captioner.generation.top_k import BLOCK, top_k
from captioner.generation.word_rules import IMPOSSIBLE, Numbers

BELOW_ONE = 1 - 2**-22  # keeps a target below a float32 sum despite rounding


@keras.saving.register_keras_serializable("captioner")
class Sampling(Search):
    """Draws n captions per picture from the model's distribution, changed by `temperature`, `top_k` and `top_p`.

    The random numbers are an input, so the search is a pure function that gives the same result on every backend.
    `call` takes {"features": ..., "draws": (pictures, n, max_length) from 0 to below 1}, as `inputs` returns it; for
    features alone the backend draws the numbers with the seed. Log-probabilities are the model's original ones;
    captions are sorted by them, best first. Nucleus: Holtzman et al., "The Curious Case of Neural Text Degeneration",
    2020.
    """

    branches = False

    @property
    def beams(self) -> int:
        """One per caption."""
        return self.n

    def inputs(self, features: Any, first: Numbers = 0) -> Any:
        """See Search.inputs; a picture's random numbers depend on the seed and on the picture's number."""
        shape = (self.n, self.config.max_length)
        pictures = first + np.arange(len(tree.flatten(features)[0])) if isinstance(first, int) else first
        draws = [np.random.default_rng((self.config.seed, int(each))).random(shape, np.float32) for each in pictures]
        return {"features": features, "draws": np.stack(draws)}

    def call(self, features: Any) -> dict[str, Tensor]:
        """See the class."""
        if isinstance(features, dict):
            return self.run(features["features"], features["draws"])
        pictures = ops.shape(tree.flatten(features)[0])[0]
        shape = (pictures, self.n, self.config.max_length)
        return self.run(features, keras.random.uniform(shape, seed=self.config.seed))

    def choose(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor, draws: Tensor) -> Choice:
        """See Search.choose; every hypothesis continues with the word that is drawn for it."""
        parents = hypotheses.log_probs.shape[1]
        samples = self.beams // parents  # per hypothesis: all samples at the first word, then one
        rows = ops.shape(logits)[0]
        words = self._draw(logits, ops.reshape(draws, (rows, samples)))  # (hypotheses, samples)
        places = words + ops.arange(rows)[:, None] * logits.shape[-1]
        log_probs = ops.take(ops.reshape(logits, (-1,)), places) - total
        beams = ops.zeros_like(words) if parents < self.beams else ops.arange(rows)[:, None] % self.beams
        choice = (beams, words, log_probs)
        return Choice(*(ops.reshape(values, (-1, self.beams)) for values in choice))

    def _draw(self, logits: Tensor, draws: Tensor) -> Tensor:
        """Return the words (hypotheses, samples) for the random numbers `draws` (hypotheses, samples)."""
        config, forbidden, words = self.config, self.constraints.forbidden, logits.shape[-1]
        if not config.top_k and config.top_p == 1:
            penalty = np.zeros(words, "float32")
            penalty[list(forbidden)] = IMPOSSIBLE
            return invert(ops.softmax(logits / config.temperature + penalty), draws)
        best, ranked = top_k(logits, config.top_k or words, forbidden)  # (hypotheses, ranks)
        weights = ops.exp((best - best[:, :1]) / config.temperature)  # the first is the largest
        weights /= ops.sum(weights, axis=-1, keepdims=True)
        if config.top_p < 1:  # the smallest set of the most probable words with this probability
            weights = ops.where(ops.cumsum(weights, axis=-1) - weights < config.top_p, weights, 0.0)
        return ops.take_along_axis(ranked, invert(weights, draws), axis=1)


def invert(weights: Tensor, draws: Tensor) -> Tensor:
    """Invert the cumulative distribution: draw indices by their weights.

    Blocks of weights are summed first, so that the cumulative sum is short.

    Args:
        weights: (rows, indices), 0 or more, not all 0.
        draws: (rows, samples) from 0 to below 1.

    Returns:
        (rows, samples) int32 indices whose weights are above 0.
    """
    places = weights.shape[-1]
    blocks = -(-places // BLOCK)
    weights = ops.pad(weights, ((0, 0), (0, blocks * BLOCK - places)))
    weights = ops.reshape(weights, (-1, blocks, BLOCK))
    sums = ops.sum(weights, axis=-1)  # (rows, blocks)
    upto = ops.cumsum(sums, axis=-1)
    target = draws * upto[:, -1:] * BELOW_ONE  # (rows, samples)
    block = ops.sum(ops.cast(upto[:, None] <= target[..., None], "int32"), axis=-1)  # (rows, samples)
    rest = target - ops.take_along_axis(upto - sums, block, axis=1)
    row = ops.arange(ops.shape(weights)[0])[:, None] * blocks
    inside = ops.take(ops.reshape(weights, (-1, BLOCK)), block + row, axis=0)  # (rows, samples, BLOCK)
    upto = ops.cumsum(inside, axis=-1)
    rest = ops.minimum(rest, upto[..., -1] * BELOW_ONE)
    place = ops.sum(ops.cast(upto <= rest[..., None], "int32"), axis=-1)
    return block * BLOCK + place
