"""The step loop that every search shares: a keras.Model whose call runs the whole loop, compiled and batched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import keras
from keras import ops, tree

from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import END, PAD, START, UNK

IMPOSSIBLE = -1e9  # a log-probability below any real one; finite, so that sums and comparisons stay defined

Tensor = Any


@dataclass(frozen=True)
class GenerationConfig:
    """How captions are generated.

    Attributes:
        beam_size: hypotheses kept per picture; 1 is greedy search.
        max_length: the most words of a caption, `<end>` included.
        normalization: how a hypothesis' log-probability is made comparable over lengths: `average` divides it by
            length ** length_penalty, `wu` by ((5 + length) / 6) ** length_penalty (Wu et al. 2016, eq. 14).
        length_penalty: the exponent.
    """

    beam_size: int = 3
    max_length: int = 30
    normalization: Literal["none", "average", "wu"] = "average"
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ValueError(f"beam_size must be 1 or more, found {self.beam_size}")
        if self.max_length < 1:
            raise ValueError(f"max_length must be 1 or more, found {self.max_length}")
        if self.length_penalty < 0:
            raise ValueError(f"length_penalty must be 0 or more, found {self.length_penalty}")


class Hypotheses(NamedTuple):
    """The loop's variables; a picture's beams stand side by side.

    Attributes:
        tokens: (pictures, beams, max_length) int32, `<pad>` after the end.
        log_probs: (pictures, beams) sum of the words' log-probabilities.
        lengths: (pictures, beams) int32 words so far, `<end>` included.
        finished: (pictures, beams) bool.
        attention: (pictures, beams, max_length, regions), regions 0 where the decoder has none.
    """

    tokens: Tensor
    log_probs: Tensor
    lengths: Tensor
    finished: Tensor
    attention: Tensor


class Search(keras.Model):
    """Runs a decoder word by word for a batch of pictures; a subclass says which words are taken.

    `call(features)` returns a dict: tokens (pictures, n, max_length), log_probs (pictures, n), lengths (pictures, n),
    and attention (pictures, n, max_length, regions) where the decoder has it; n best first.

    Args:
        decoder: the decoder to run.
        config: how captions are generated.
        n: captions returned per picture, at most the beam size.

    Raises:
        ValueError: n is not in 1..beam_size.
    """

    def __init__(self, decoder: CaptionDecoder, config: GenerationConfig, n: int = 1) -> None:
        super().__init__(name=type(self).__name__.lower())
        if not 1 <= n <= config.beam_size:
            raise ValueError(f"n must be between 1 and the beam size {config.beam_size}, found {n}")
        self.decoder = decoder
        self.config = config
        self.n = n

    def choose(self, hypotheses: Hypotheses, log_probs: Tensor) -> Tensor:
        """Choose how the hypotheses go on.

        Args:
            hypotheses: those so far.
            log_probs: (pictures, beams, candidates) of the likeliest next words of each, best first.

        Returns:
            (pictures, beams) int32, indices into a picture's beams x candidates. A finished hypothesis must be among
            them once: whichever of its candidates is chosen, it stays as it is.
        """
        raise TypeError(f"{type(self).__name__} does not implement choose")

    def call(self, features: Tensor) -> dict[str, Tensor]:
        """Generate captions for features (pictures, channels) or (pictures, regions, channels)."""
        decoder, beams = self.decoder, self.config.beam_size
        memory = decoder.encode(features)
        pictures = ops.shape(features)[0]
        state = decoder.initial_state(memory, self.config.max_length)
        state = tree.map_structure(lambda leaf: ops.repeat(leaf, beams, axis=0), state)  # (hypotheses, ...)
        last = ops.full((pictures * beams,), START, dtype="int32")
        hypotheses = self._start(pictures, self._regions(last, state, memory))

        def unfinished(position: Tensor, last: Tensor, state: Any, hypotheses: Hypotheses) -> Tensor:
            return ops.logical_and(position < self.config.max_length, ops.any(self._can_improve(hypotheses)))

        def advance(position: Tensor, last: Tensor, state: Any, hypotheses: Hypotheses) -> tuple[Any, ...]:
            logits, state, attention = decoder.step(last, position, state, memory)
            hypotheses, state, last = self._extend(hypotheses, position, logits, state, attention)
            return position + 1, last, state, hypotheses

        loop = ops.while_loop(unfinished, advance, (ops.convert_to_tensor(0, "int32"), last, state, hypotheses))
        return self._best(Hypotheses(*loop[3]))

    def _regions(self, last: Tensor, state: Any, memory: Tensor) -> int:
        """Ask one step for the number of regions; its result is thrown away, so a compiled graph drops the work."""
        return self.decoder.step(last, ops.convert_to_tensor(0, "int32"), state, memory)[2].shape[-1]

    def _start(self, pictures: Tensor, regions: int) -> Hypotheses:
        beams, length = self.config.beam_size, self.config.max_length
        # All beams begin alike: only the first may be continued, or the others would be its copies.
        first = ops.cast(ops.arange(beams) > 0, "float32") * IMPOSSIBLE  # (beams,)
        return Hypotheses(
            tokens=ops.full((pictures, beams, length), PAD, dtype="int32"),
            log_probs=ops.zeros((pictures, beams)) + first,
            lengths=ops.zeros((pictures, beams), dtype="int32"),
            finished=ops.zeros((pictures, beams), dtype="bool"),
            attention=ops.zeros((pictures, beams, length, regions)),
        )

    def _extend(
        self, hypotheses: Hypotheses, position: Tensor, logits: Tensor, state: Any, attention: Tensor
    ) -> tuple[Hypotheses, Any, Tensor]:
        """Add a word to every open hypothesis and put the beams in the order of their parents."""
        beams = self.config.beam_size
        pictures = ops.shape(hypotheses.log_probs)[0]
        candidates = min(beams, self.decoder.vocabulary_size)  # no more than `beams` of one hypothesis can be kept
        logits = ops.cast(logits, "float32")  # (hypotheses, words)
        best, words = ops.top_k(logits + self._forbidden(), candidates)
        log_probs = best - ops.logsumexp(logits, axis=-1, keepdims=True)  # (hypotheses, candidates)
        chosen = self.choose(hypotheses, ops.reshape(log_probs, (pictures, beams, candidates)))  # (pictures, beams)

        parents = chosen // candidates  # (pictures, beams)
        finished = ops.take_along_axis(hypotheses.finished, parents, axis=1)
        tokens = ops.take_along_axis(ops.reshape(ops.cast(words, "int32"), (pictures, -1)), chosen, axis=1)
        tokens = ops.where(finished, PAD, tokens)
        added = ops.where(finished, 0.0, ops.take_along_axis(ops.reshape(log_probs, (pictures, -1)), chosen, axis=1))
        now = ops.arange(self.config.max_length) == position  # (max_length,)
        history = ops.take_along_axis(hypotheses.tokens, parents[:, :, None], axis=1)
        total = ops.take_along_axis(hypotheses.log_probs, parents, axis=1) + added
        # Where the words do not fill the beam, an impossible hypothesis stands in: it must not end and keep its place.
        ended = ops.logical_and(tokens == END, total > IMPOSSIBLE / 2)
        extended = Hypotheses(
            tokens=ops.where(now, tokens[:, :, None], history),
            log_probs=total,
            lengths=ops.take_along_axis(hypotheses.lengths, parents, axis=1) + ops.cast(~finished, "int32"),
            finished=ops.logical_or(finished, ended),
            attention=self._extend_attention(hypotheses.attention, attention, parents, now),
        )
        if beams > 1:
            rows = ops.reshape(parents + ops.arange(pictures)[:, None] * beams, (-1,))  # (hypotheses,)
            state = tree.map_structure(lambda leaf: ops.take(leaf, rows, axis=0), state)
        return extended, state, ops.reshape(tokens, (-1,))

    def _extend_attention(self, history: Tensor, attention: Tensor, parents: Tensor, now: Tensor) -> Tensor:
        if history.shape[-1] == 0:
            return history
        attention = ops.reshape(ops.cast(attention, "float32"), (-1, self.config.beam_size, history.shape[-1]))
        attention = ops.take_along_axis(attention, parents[:, :, None], axis=1)  # (pictures, beams, regions)
        history = ops.take_along_axis(history, parents[:, :, None, None], axis=1)
        return ops.where(now[:, None], attention[:, :, None], history)

    def _forbidden(self) -> Tensor:
        """Return IMPOSSIBLE for the words that are never emitted, 0 for the others: (words,)."""
        index = ops.arange(self.decoder.vocabulary_size)
        return ops.cast((index == PAD) | (index == START) | (index == UNK), "float32") * IMPOSSIBLE

    def _normalized(self, log_probs: Tensor, lengths: Tensor) -> Tensor:
        if self.config.normalization == "none":
            return log_probs
        lengths = ops.cast(lengths, "float32")
        base = lengths if self.config.normalization == "average" else (5.0 + lengths) / 6.0
        return log_probs / ops.power(ops.maximum(base, 1.0 / 6.0), self.config.length_penalty)

    def _scores(self, hypotheses: Hypotheses) -> Tensor:
        return self._normalized(hypotheses.log_probs, hypotheses.lengths)

    def _can_improve(self, hypotheses: Hypotheses) -> Tensor:
        """Tell for each picture whether an open hypothesis could still enter the n best: (pictures,).

        A log-probability only falls, and its divisor only grows up to max_length, so that the present one over the
        largest divisor bounds what an open hypothesis can reach: stopping here changes no result.
        """
        done = ops.where(hypotheses.finished, self._scores(hypotheses), 2 * IMPOSSIBLE)
        nth_best = ops.top_k(done, self.n)[0][:, -1]  # (pictures,)
        longest = ops.full_like(hypotheses.lengths, self.config.max_length)
        bound = ops.where(hypotheses.finished, 2 * IMPOSSIBLE, self._normalized(hypotheses.log_probs, longest))
        return ops.max(bound, axis=1) > nth_best

    def _best(self, hypotheses: Hypotheses) -> dict[str, Tensor]:
        """Return the n best of each picture, best first."""
        # An open hypothesis is beaten by every finished one only through its score: one that never ends is a caption.
        _, order = ops.top_k(self._scores(hypotheses), self.n)  # (pictures, n)
        order = ops.cast(order, "int32")
        best = {
            "tokens": ops.take_along_axis(hypotheses.tokens, order[:, :, None], axis=1),
            "log_probs": ops.take_along_axis(hypotheses.log_probs, order, axis=1),
            "lengths": ops.take_along_axis(hypotheses.lengths, order, axis=1),
        }
        if hypotheses.attention.shape[-1]:
            best["attention"] = ops.take_along_axis(hypotheses.attention, order[:, :, None, None], axis=1)
        return best
