"""Constrained beam search: captions that hold certain words, wherever they fit best."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.generation.config import GenerationConfig
from captioner.generation.hypotheses import Choice, Hypotheses, Tensor
from captioner.generation.search import Search
from captioner.generation.top_k import top_k
from captioner.generation.word_rules import IMPOSSIBLE
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import END, PAD, Vocabulary


@keras.saving.register_keras_serializable("captioner")
class ConstrainedBeamSearch(Search):
    """Beam search in which every caption holds all words of `must_include`.

    There is a beam for each set of the words that a hypothesis may hold so far, 2 ** words of them, side by side: a
    hypothesis without the words is never compared with one that has them, which is less likely so far. Only a caption
    with all of them ends (Anderson et al., "Guided Open Vocabulary Image Captioning with Constrained Beam Search",
    2017, section 3.2 and algorithm 1, for constraints of one word each or of alternatives).

    The place of a beam among all is `set * beam_size + rank`; a set is a number whose bits are the words it holds.
    """

    def __init__(
        self, decoder: CaptionDecoder, config: GenerationConfig, n: int = 1, vocabulary: Vocabulary | None = None
    ) -> None:
        super().__init__(decoder, config, n, vocabulary)
        if n > config.beam_size:
            raise ValueError(f"n must be between 1 and the beam size {config.beam_size}, found {n}")
        wanted = self.constraints.must_include  # alternatives by word
        self._sets, width = 1 << len(wanted), config.beam_size
        pairs = [(bit, number) for bit, numbers in enumerate(wanted) for number in numbers]
        self._numbers = np.array([number for _, number in pairs], np.int32)  # (alternatives,)
        missing = np.array([[not held >> bit & 1 for bit, _ in pairs] for held in range(self._sets)])
        # Staying in a set: no word that would lead to another, and no end before all are there. (sets x width, words)
        stay = np.zeros((self._sets, decoder.vocabulary_size), np.float32)
        for held in range(self._sets):
            stay[held, self._numbers[missing[held]]] = IMPOSSIBLE
            stay[held, END] = 0.0 if held == self._sets - 1 else IMPOSSIBLE
        self._stay = np.repeat(stay, width, axis=0)
        # Coming into a set by an alternative: from the set without its word. (sets, alternatives)
        self._come_from = np.array([[held & ~(1 << bit) for bit, _ in pairs] for held in range(self._sets)])
        self._can_come = np.array([[bool(held >> bit & 1) for bit, _ in pairs] for held in range(self._sets)])

    @property
    def beams(self) -> int:
        """A beam for each set of words."""
        return self.config.beam_size << len(self.config.must_include)

    def choose(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor, draws: Any) -> Choice:
        """See Search.choose."""
        width, parents = self.config.beam_size, hypotheses.log_probs.shape[1]
        first = parents == 1  # the one hypothesis before the first word holds none of the words
        stay = self._stay[:1] if first else self._stay  # (parents, words)
        pictures = ops.shape(hypotheses.log_probs)[0]
        by_parent = ops.reshape(logits, (-1, parents, logits.shape[-1]))
        total = ops.reshape(total, (-1, parents, 1))
        best, words = top_k(ops.reshape(by_parent + stay, (-1, logits.shape[-1])), width, self.constraints.forbidden)
        count = best.shape[-1]
        log_probs = ops.reshape(best, (-1, parents, count)) - total
        frozen = ops.where(ops.arange(count) == 0, 1.0, 4 * IMPOSSIBLE)
        ranks = ops.where(hypotheses.finished[:, :, None], frozen, hypotheses.log_probs[:, :, None] + log_probs)

        # Words that lead from one set to the next.
        steps = ops.take(by_parent, self._numbers, axis=-1) - total  # (pictures, parents, alternatives)
        open_steps = hypotheses.log_probs[:, :, None] + steps
        step_ranks = ops.where(hypotheses.finished[:, :, None], 4 * IMPOSSIBLE, open_steps)
        own, coming = self._places(parents, count)
        groups = [_flat(values, *own[:2]) for values in (ranks, log_probs, ops.reshape(words, (-1, parents, count)))]
        numbers = ops.broadcast_to(ops.convert_to_tensor(self._numbers), ops.shape(steps))
        more = [_flat(values, *coming[:2]) for values in (step_ranks, steps, numbers)]
        possible = np.concatenate([own[2], coming[2]], axis=-1)  # (sets, candidates)
        ranks = ops.where(possible, ops.concatenate([groups[0], more[0]], axis=-1), 4 * IMPOSSIBLE)
        log_probs = ops.where(possible, ops.concatenate([groups[1], more[1]], axis=-1), IMPOSSIBLE)
        words = ops.concatenate([groups[2], more[2]], axis=-1)  # (pictures, sets, candidates)
        sources = np.concatenate([own[0], coming[0]], axis=-1).astype(np.int32)
        lacking = max(0, width - sources.shape[1])
        if lacking:
            sources = np.pad(sources, ((0, 0), (0, lacking)))
            ranks = ops.pad(ranks, ((0, 0), (0, 0), (0, lacking)), constant_values=4 * IMPOSSIBLE)
            log_probs = ops.pad(log_probs, ((0, 0), (0, 0), (0, lacking)), constant_values=IMPOSSIBLE)
            words = ops.pad(words, ((0, 0), (0, 0), (0, lacking)), constant_values=PAD)
        chosen = ops.cast(ops.top_k(ranks, width)[1], "int32")  # (pictures, sets, width)
        places = ops.broadcast_to(ops.convert_to_tensor(sources)[None], (pictures, *sources.shape))

        def taken(values: Tensor) -> Tensor:
            return ops.reshape(ops.take_along_axis(values, chosen, axis=2), (-1, self.beams))

        return Choice(parents=taken(places), words=taken(words), log_probs=taken(log_probs))

    def _places(self, parents: int, count: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Return, for staying in a set and for coming into it: parent, column and whether it exists, (sets, any)."""
        width = 1 if parents == 1 else self.config.beam_size
        rank, column = np.divmod(np.arange(width * count), count)
        held = np.arange(self._sets)[:, None]
        there = (held == 0) if parents == 1 else np.ones_like(held, bool)
        own = (np.where(there, held * width, 0) + rank, np.broadcast_to(column, (self._sets, len(column))))
        alternatives = len(self._numbers)
        rank, column = np.divmod(np.arange(width * alternatives), alternatives)
        before = self._come_from[:, column]  # (sets, width x alternatives)
        exists = self._can_come[:, column] & ((before == 0) | (parents > 1))
        coming = (np.where(exists, before * width, 0) + rank, np.broadcast_to(column, before.shape))
        return (*own, np.broadcast_to(there, own[1].shape)), (*coming, exists)

    def _scores(self, hypotheses: Hypotheses) -> Tensor:
        """See Search._scores: captions that lack a word come last."""
        whole = np.arange(self.beams) >= self.beams - self.config.beam_size  # (beams,)
        return ops.where(whole, super()._scores(hypotheses), 4 * IMPOSSIBLE)


def _flat(values: Tensor, parents: np.ndarray, columns: np.ndarray) -> Tensor:
    """Pick (pictures, parents, columns) at some places: (pictures, sets, any)."""
    width = values.shape[-1]
    places = (parents * width + columns).astype(np.int32)
    flat = ops.reshape(values, (-1, values.shape[1] * width))
    return ops.reshape(ops.take(flat, places.ravel(), axis=1), (-1, *places.shape))
