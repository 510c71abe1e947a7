"""The searches of captioner.generation in NumPy, so that a decoder on another runtime needs no Keras.

Greedy, beam and diverse beam search and sampling, with the same settings, the same ties and the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from captioner.export.largest import top
from captioner.generation.config import GenerationConfig
from captioner.generation.word_rules import IMPOSSIBLE, Numbers, WordRules
from captioner.text.vocabulary import END, PAD, START, Vocabulary

BELOW_ONE = np.float32(1 - 2**-22)  # keeps a target below a float32 sum in spite of rounding


class Step(Protocol):
    """A decoder on another runtime."""

    def start(self, features: Any, max_length: int) -> tuple[Any, list[np.ndarray]]:
        """Return the memory, of any type, and the first state, arrays (pictures, ...)."""

    def step(
        self, token: np.ndarray, position: int, state: list[np.ndarray], memory: Any
    ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
        """Read a word of each hypothesis (hypotheses,) int32.

        Returns:
            logits (hypotheses, words) float32, the logarithm of the sum of their exponentials (hypotheses, 1), the new
            state, and the attention (hypotheses, regions).
        """


@dataclass
class Beams:
    """The captions so far, (pictures, beams, ...); see captioner.generation.hypotheses.Hypotheses."""

    tokens: np.ndarray
    log_probs: np.ndarray
    lengths: np.ndarray
    finished: np.ndarray
    sources: np.ndarray

    def followed(self, rows: np.ndarray, beams: int) -> Beams:
        """Return the beams of the parents `rows` (pictures x beams,)."""
        leaves = vars(self).values()
        return Beams(*(leaf.reshape(-1, *leaf.shape[2:])[rows].reshape(-1, beams, *leaf.shape[2:]) for leaf in leaves))


class NumpySearch:
    """Generate captions word by word for a batch of pictures.

    Args:
        decoder: runs the steps.
        config: how captions are generated.
        n: captions per picture, at most the beam size.
        vocabulary: the decoder's vocabulary.

    Raises:
        ValueError: n is not in 1..beams, or a banned word cannot be banned.
    """

    def __init__(self, decoder: Step, config: GenerationConfig, n: int, vocabulary: Vocabulary) -> None:
        self.decoder, self.config, self.n = decoder, config, n
        self.rules = WordRules.of(config, vocabulary)
        self.beams = n if config.sampling else config.beam_size
        if not 1 <= n <= self.beams:
            raise ValueError(f"n must be between 1 and the beam size {self.beams}, found {n}")
        self._penalty = np.zeros(len(vocabulary), np.float32)  # (words,)
        self._penalty[list(self.rules.forbidden)] = IMPOSSIBLE

    def run(self, features: Any, pictures: int, first: Numbers = 0) -> dict[str, np.ndarray]:
        """Return the same as captioner.generation.search.Search: tokens, log_probs, lengths and, if any, attention.

        Args:
            features: features of the pictures, for the decoder.
            pictures: number of pictures.
            first: the number of the first picture among the user's pictures, or of each; sampling depends on it.
        """
        length = self.config.max_length
        draws = self._draws(pictures, first)
        memory, state = self.decoder.start(features, length)
        last = np.full(pictures, START, np.int32)
        beams = Beams(
            tokens=np.full((pictures, 1, length), PAD, np.int32),
            log_probs=np.zeros((pictures, 1), np.float32),
            lengths=np.zeros((pictures, 1), np.int32),
            finished=np.zeros((pictures, 1), bool),
            sources=np.zeros((pictures, 1, length), np.int32),
        )
        history = []
        for position in range(length):
            logits, total, state, attention = self.decoder.step(last, position, state, memory)
            before = beams.log_probs.shape[1]
            history.append(attention.repeat(self.beams // before, axis=0))
            self._block(logits, beams.tokens.reshape(-1, length), last, position)
            parents, words, log_probs = self._choose(beams, logits, total, draws[:, :, position])
            rows = (parents + np.arange(pictures)[:, None] * before).reshape(-1)
            beams = beams.followed(rows, self.beams)
            state = [leaf[rows] for leaf in state]
            words = np.where(beams.finished, PAD, words)
            beams.log_probs = beams.log_probs + np.where(beams.finished, np.float32(0), log_probs)
            beams.lengths = beams.lengths + ~beams.finished
            beams.tokens[:, :, position], beams.sources[:, :, position] = words, parents
            # If the words do not fill the beam, impossible hypotheses fill it; these must not count as finished.
            beams.finished = beams.finished | ((words == END) & (beams.log_probs > IMPOSSIBLE / 2))
            last = words.reshape(-1).astype(np.int32)
            if not self._can_improve(beams).any():
                break
        return self._best(beams, history)

    def _draws(self, pictures: int, first: Numbers) -> np.ndarray:
        """Return the random numbers for sampling, (pictures, beams, max_length), the same as in Sampling.inputs."""
        shape = (self.beams, self.config.max_length)
        if not self.config.sampling:
            return np.zeros((pictures, *shape), np.float32)
        numbers = range(first, first + pictures) if isinstance(first, int) else first.tolist()
        return np.stack([np.random.default_rng((self.config.seed, one)).random(shape, np.float32) for one in numbers])

    def _block(self, logits: np.ndarray, tokens: np.ndarray, last: np.ndarray, position: int) -> None:
        """Make the words that are blocked at this step impossible; see Constraints.blocked."""
        rules = self.rules
        if position < len(rules.start):  # only the next word of the start, before all other rules
            word = rules.start[position]
            own = logits[:, word].copy()
            logits[:] = IMPOSSIBLE
            logits[:, word] = own
            return
        no_end = np.full(len(last), position < rules.min_length)
        if rules.endings:
            no_end |= np.isin(last, rules.endings)
            if position == rules.max_length - 1:
                logits[:, list(rules.endings)] = IMPOSSIBLE
        logits[no_end, END] = IMPOSSIBLE
        if 0 < rules.no_repeat_ngram <= rules.max_length:
            before = rules.no_repeat_ngram - 1
            starts = max(0, position - before)
            alike = np.ones((len(tokens), starts), bool)  # whether the words at an earlier place equal the last words
            for place in range(before):
                alike &= tokens[:, place : place + starts] == tokens[:, starts + place, None]
            rows, found = np.nonzero(alike)
            logits[rows, tokens[rows, found + before]] = IMPOSSIBLE

    def _choose(
        self, beams: Beams, logits: np.ndarray, total: np.ndarray, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return parents, words and the words' log-probabilities, each (pictures, beams)."""
        if self.config.sampling:
            return self._sample(beams, logits, total, draws)
        pictures, parents = beams.log_probs.shape
        best, words = top(logits + self._penalty, min(self.beams, logits.shape[1]))
        count = best.shape[1]
        words = words.reshape(pictures, parents, count)
        log_probs = (best - total).reshape(pictures, parents, count)
        # A finished hypothesis has only its first candidate, which ranks before every open hypothesis.
        frozen = np.where(np.arange(count) == 0, np.float32(1), np.float32(4 * IMPOSSIBLE))
        ranks = np.where(beams.finished[:, :, None], frozen, beams.log_probs[:, :, None] + log_probs)
        if self.config.groups == 1:
            return _best_of(words, log_probs, ranks, self.beams)
        return self._choose_in_groups(beams, words, log_probs, ranks)

    def _choose_in_groups(
        self, beams: Beams, words: np.ndarray, log_probs: np.ndarray, ranks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose hypotheses in the same way as DiverseBeamSearch."""
        parents, size = ranks.shape[1], self.beams // self.config.groups
        chosen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for group in range(self.config.groups):
            own = slice(group * size, (group + 1) * size) if parents == self.beams else slice(0, 1)
            open_ones = (~beams.finished[:, own, None]).astype(np.float32)
            lowered = ranks[:, own]
            for _, others, _ in chosen:
                times = (words[:, own, :, None] == others[:, None, None, :]).sum(-1)
                lowered = lowered - np.float32(self.config.diversity) * times.astype(np.float32) * open_ones
            from_parents, taken, values = _best_of(words[:, own], log_probs[:, own], lowered, size)
            from_parents = from_parents + own.start
            ended = np.take_along_axis(beams.finished, from_parents, axis=1)
            chosen.append((from_parents, np.where(ended, PAD, taken), values))  # a finished hypothesis gets no word
        return tuple(np.concatenate(parts, axis=1) for parts in zip(*chosen, strict=True))  # type: ignore[return-value]

    def _sample(
        self, beams: Beams, logits: np.ndarray, total: np.ndarray, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sample words in the same way as Sampling."""
        config, (pictures, parents) = self.config, beams.log_probs.shape
        draws = draws.reshape(len(logits), self.beams // parents)
        allowed = logits + self._penalty
        if not config.top_k and config.top_p == 1:
            words = _invert(_softmax(allowed / np.float32(config.temperature)), draws)
        else:
            best, ranked = top(allowed, min(config.top_k or allowed.shape[1], allowed.shape[1]))
            weights = np.exp((best - best[:, :1]) / np.float32(config.temperature))
            weights /= weights.sum(-1, keepdims=True)
            if config.top_p < 1:  # the smallest set of most probable words with this total probability
                weights = np.where(weights.cumsum(-1) - weights < config.top_p, weights, np.float32(0))
            words = np.take_along_axis(ranked, _invert(weights, draws), axis=1)
        log_probs = np.take_along_axis(logits, words, axis=1) - total
        shape = (pictures, self.beams)
        own = np.broadcast_to(np.arange(self.beams) if parents == self.beams else 0, shape)
        return own, words.reshape(shape), log_probs.reshape(shape)

    def _scores(self, beams: Beams) -> np.ndarray:
        """Return the final ranking scores of the hypotheses, (pictures, beams)."""
        scores = self._normalized(beams.log_probs, beams.lengths)
        if self.config.groups == 1:
            return scores
        same = (beams.tokens[:, :, None] == beams.tokens[:, None]).all(-1)  # (pictures, beams, beams)
        earlier = np.tril(np.ones((self.beams, self.beams), bool), -1)
        return np.where((same & earlier).any(2), np.float32(4 * IMPOSSIBLE), scores)

    def _normalized(self, log_probs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        if self.config.normalization == "none":
            return log_probs
        lengths = lengths.astype(np.float32)
        base = lengths if self.config.normalization == "average" else (np.float32(5) + lengths) / np.float32(6)
        return log_probs / np.maximum(base, np.float32(1 / 6)) ** np.float32(self.config.length_penalty)

    def score(self, log_prob: float, length: int) -> float:
        """Return the ranking score of a finished caption of `length` words, including `<end>`."""
        return float(self._normalized(np.array(log_prob, np.float64), np.array(length)))

    def _can_improve(self, beams: Beams) -> np.ndarray:
        """Tell for each picture whether an open hypothesis can still become one of the n best; see Search."""
        done = np.where(beams.finished, self._scores(beams), np.float32(2 * IMPOSSIBLE))
        nth_best = top(done, self.n)[0][:, -1]
        longest = np.full_like(beams.lengths, self.config.max_length)
        bound = np.where(beams.finished, np.float32(2 * IMPOSSIBLE), self._normalized(beams.log_probs, longest))
        return bound.max(1) > nth_best

    def _best(self, beams: Beams, history: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return the n best captions of each picture, best first."""
        scores, order = top(self._scores(beams), self.n)
        log_probs = np.take_along_axis(beams.log_probs, order, axis=1)
        best = {
            "tokens": np.take_along_axis(beams.tokens, order[:, :, None], axis=1),
            "log_probs": np.where(scores > 2 * IMPOSSIBLE, log_probs, np.float32(IMPOSSIBLE)),
            "lengths": np.take_along_axis(beams.lengths, order, axis=1),
        }
        attention = np.stack(history)  # (steps, pictures x beams, regions)
        if attention.shape[-1]:
            steps = np.arange(len(attention))
            sources = np.take_along_axis(beams.sources, order[:, :, None], axis=1)[:, :, : len(attention)]
            rows = sources + np.arange(len(order))[:, None, None] * self.beams
            best["attention"] = attention[steps, rows]  # (pictures, n, steps, regions)
        return best


def _best_of(
    words: np.ndarray, log_probs: np.ndarray, ranks: np.ndarray, beams: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose the best-ranked candidates of each picture; impossible ones fill the rest of the beam."""
    pictures, parents, count = ranks.shape
    missing = max(0, beams - parents * count)

    def flat(values: np.ndarray, filling: float) -> np.ndarray:
        return np.pad(values.reshape(pictures, -1), ((0, 0), (0, missing)), constant_values=filling)

    _, chosen = top(flat(ranks, 4 * IMPOSSIBLE), beams)
    return (
        np.minimum(chosen // count, parents - 1),
        np.take_along_axis(flat(words, PAD), chosen, axis=1),
        np.take_along_axis(flat(log_probs, IMPOSSIBLE), chosen, axis=1),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _invert(weights: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Sample indices (rows, samples) by weights (rows, places), with random numbers in [0, 1)."""
    upto = weights.cumsum(-1, dtype=np.float64)
    targets = draws * upto[:, -1:] * BELOW_ONE
    found = (upto[:, None] <= targets[..., None]).sum(-1)
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)  # the last index that can be sampled
    return np.minimum(found, last[:, None])
