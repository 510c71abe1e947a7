"""Constrained beam search: every caption contains given words; the search finds their positions."""

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
from captioner.generation.word_sets import WordSets
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import PAD, Vocabulary


@keras.saving.register_keras_serializable("captioner")
class ConstrainedBeamSearch(Search):
    """Beam search in which every caption contains all words of `must_include`.

    There is a beam for each set of the words that a hypothesis may contain so far, 2 ** words beams in all. So a
    hypothesis that already contains more of the words, and is less likely so far, only competes with its equals. Only
    captions with all words can end (Anderson et al., "Guided Open Vocabulary Image Captioning with Constrained Beam
    Search", 2017, section 3.2 and algorithm 1, for constraints of single words or of alternatives).
    """

    def __init__(
        self, decoder: CaptionDecoder, config: GenerationConfig, n: int = 1, vocabulary: Vocabulary | None = None
    ) -> None:
        super().__init__(decoder, config, n, vocabulary)
        if n > config.beam_size:
            raise ValueError(f"n must be between 1 and the beam size {config.beam_size}, found {n}")
        self._sets = WordSets(self.constraints.must_include, decoder.vocabulary_size, config.beam_size)

    @property
    def beams(self) -> int:
        """A beam for each set of words."""
        return self.config.beam_size << len(self.constraints.must_include)

    def choose(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor, draws: Any) -> Choice:
        """See Search.choose."""
        width, parents = self.config.beam_size, hypotheses.log_probs.shape[1]
        stay = self._sets.staying(parents)  # (parents, words)
        pictures = ops.shape(hypotheses.log_probs)[0]
        by_parent = ops.reshape(logits, (-1, parents, logits.shape[-1]))
        total = ops.reshape(total, (-1, parents, 1))
        best, words = top_k(ops.reshape(by_parent + stay, (-1, logits.shape[-1])), width, self.constraints.forbidden)
        count = best.shape[-1]
        log_probs = ops.reshape(best, (-1, parents, count)) - total
        frozen = ops.where(ops.arange(count) == 0, 1.0, 4 * IMPOSSIBLE)
        ranks = ops.where(hypotheses.finished[:, :, None], frozen, hypotheses.log_probs[:, :, None] + log_probs)

        # Words that move a hypothesis from one set to another.
        steps = ops.take(by_parent, self._sets.numbers, axis=-1) - total  # (pictures, parents, alternatives)
        open_steps = hypotheses.log_probs[:, :, None] + steps
        step_ranks = ops.where(hypotheses.finished[:, :, None], 4 * IMPOSSIBLE, open_steps)
        own, coming = self._sets.candidates(parents, count)
        groups = [_flat(values, *own[:2]) for values in (ranks, log_probs, ops.reshape(words, (-1, parents, count)))]
        numbers = ops.broadcast_to(ops.convert_to_tensor(self._sets.numbers), ops.shape(steps))
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

    def _scores(self, hypotheses: Hypotheses) -> Tensor:
        """See Search._scores; captions that lack a word rank last."""
        return ops.where(self._sets.whole, super()._scores(hypotheses), 4 * IMPOSSIBLE)


def _flat(values: Tensor, parents: np.ndarray, columns: np.ndarray) -> Tensor:
    """Pick elements of (pictures, parents, columns): (pictures, sets, any)."""
    width = values.shape[-1]
    places = (parents * width + columns).astype(np.int32)
    flat = ops.reshape(values, (-1, values.shape[1] * width))
    return ops.reshape(ops.take(flat, places.ravel(), axis=1), (-1, *places.shape))
