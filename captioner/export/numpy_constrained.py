"""captioner.generation.constrained in NumPy: captions that must contain certain words, without Keras."""

from __future__ import annotations

import numpy as np

from captioner.export.largest import top
from captioner.export.numpy_search import Beams, NumpySearch, Step
from captioner.generation.config import GenerationConfig
from captioner.generation.word_rules import IMPOSSIBLE
from captioner.generation.word_sets import WordSets
from captioner.text.vocabulary import PAD, Vocabulary

NEVER = 4.0 * IMPOSSIBLE


class ConstrainedNumpySearch(NumpySearch):
    """ConstrainedBeamSearch, with the same settings and results; see NumpySearch."""

    def __init__(self, decoder: Step, config: GenerationConfig, n: int, vocabulary: Vocabulary) -> None:
        super().__init__(decoder, config, n, vocabulary)
        self._sets = WordSets(self.rules.must_include, len(vocabulary), config.beam_size)
        self.beams = self._sets.count * config.beam_size

    def _choose(
        self, beams: Beams, logits: np.ndarray, total: np.ndarray, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        width, (pictures, parents) = self.config.beam_size, beams.log_probs.shape
        by_parent = logits.reshape(pictures, parents, -1)
        total, so_far = total.reshape(pictures, parents, 1), beams.log_probs[:, :, None]
        staying = (by_parent + self._sets.staying(parents)).reshape(logits.shape)
        best, words = top(staying + self._penalty, min(width, logits.shape[1]))
        count = best.shape[1]
        log_probs = best.reshape(pictures, parents, count) - total
        # A finished hypothesis has only its first candidate, which ranks before every open hypothesis.
        frozen = np.where(np.arange(count) == 0, np.float32(1), np.float32(NEVER))
        ranks = np.where(beams.finished[:, :, None], frozen, so_far + log_probs)

        # words that lead from one set to the next
        steps = by_parent[:, :, self._sets.numbers] - total  # (pictures, parents, alternatives)
        step_ranks = np.where(beams.finished[:, :, None], np.float32(NEVER), so_far + steps)
        own, coming = self._sets.candidates(parents, count)
        lacking = max(0, width - own.parents.shape[1] - coming.parents.shape[1])

        def candidates(stay: np.ndarray, step: np.ndarray, filling: float) -> np.ndarray:
            both = [stay[:, own.parents, own.columns], step[:, coming.parents, coming.columns]]
            return np.pad(np.concatenate(both, axis=-1), ((0, 0), (0, 0), (0, lacking)), constant_values=filling)

        possible = np.pad(np.concatenate([own.possible, coming.possible], axis=-1), ((0, 0), (0, lacking)))
        sources = np.pad(np.concatenate([own.parents, coming.parents], axis=-1), ((0, 0), (0, lacking)))
        ranks = np.where(
            possible, candidates(ranks, step_ranks, NEVER), np.float32(NEVER)
        )  # (pictures, sets, candidates)
        log_probs = np.where(possible, candidates(log_probs, steps, IMPOSSIBLE), np.float32(IMPOSSIBLE))
        numbers = np.broadcast_to(self._sets.numbers, steps.shape)
        words = candidates(words.reshape(pictures, parents, count), numbers, PAD)
        chosen = top(ranks.reshape(pictures * self._sets.count, -1), width)[1].reshape(pictures, -1, width)

        def taken(values: np.ndarray) -> np.ndarray:
            return np.take_along_axis(np.broadcast_to(values, ranks.shape), chosen, axis=2).reshape(pictures, -1)

        return taken(sources), taken(words), taken(log_probs)

    def _scores(self, beams: Beams) -> np.ndarray:
        """See NumpySearch._scores; captions without all required words come last."""
        return np.where(self._sets.whole, super()._scores(beams), np.float32(NEVER))
