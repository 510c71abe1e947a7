"""The step loop that every search shares: a keras.Model whose call runs the whole loop, compiled and batched."""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
from keras import ops, tree

from captioner.config import build, to_settings
from captioner.generation.config import GenerationConfig
from captioner.generation.constraints import Constraints, block
from captioner.generation.hypotheses import Choice, Given, Hypotheses, SearchState, Tensor
from captioner.generation.word_rules import IMPOSSIBLE, Numbers
from captioner.keras_settings import tensorflow_on_cpu
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import END, PAD, START, Vocabulary

HALVINGS = 2  # how often a batch shrinks to its unfinished half; each time compiles one more copy of the loop
SMALLEST_TO_HALVE = 32  # pictures; smaller batches do not make a step faster


class Search(keras.Model):
    """Runs a decoder word by word for a batch of pictures; a subclass chooses the words.

    `call(features)` returns a dict: tokens (pictures, n, max_length), log_probs (pictures, n), lengths (pictures, n),
    and attention (pictures, n, max_length, regions) if the decoder has it. The n captions are sorted, best first.

    Args:
        decoder: the decoder to run.
        config: how captions are generated.
        n: captions returned per picture, at most the beam size.
        vocabulary: the decoder's vocabulary; needed if the configuration names words.

    Raises:
        ValueError: n is not in 1..beams, or words are named without a vocabulary.
    """

    branches = True  # whether two hypotheses may continue the same one; if not, the beams keep their places
    halvings = HALVINGS  # 0 in an exported search, since each adds a copy of the loop to the file

    def __init__(
        self, decoder: CaptionDecoder, config: GenerationConfig, n: int = 1, vocabulary: Vocabulary | None = None
    ) -> None:
        super().__init__(name=type(self).__name__.lower())
        self.decoder, self.config, self.n = decoder, config, n
        self._vocabulary = vocabulary
        if tensorflow_on_cpu():
            self.jit_compile = False
        self.constraints = Constraints.of(config, vocabulary)
        if not 1 <= n <= self.beams:
            raise ValueError(f"n must be between 1 and the beam size {self.beams}, found {n}")
        self.built = True  # its decoder is built

    @property
    def beams(self) -> int:
        """Hypotheses kept per picture."""
        return self.config.beam_size

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, so that a search can be saved in a `.keras` file."""
        return {
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "config": to_settings(self.config),
            "n": self.n,
            "vocabulary": None if self._vocabulary is None else self._vocabulary.to_json(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a search from the result of `get_config`."""
        decoder = keras.saving.deserialize_keras_object(config["decoder"], custom_objects=custom_objects)
        words = config["vocabulary"]
        vocabulary = None if words is None else Vocabulary.from_json(words)
        return cls(decoder, build(GenerationConfig, config["config"]), config["n"], vocabulary)

    def choose(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor, draws: Any) -> Choice:
        """Choose how the hypotheses continue.

        Args:
            hypotheses: the current hypotheses, (pictures, parents, ...): one parent per picture at the first word, then
                `beams`.
            logits: (pictures x parents, words) of the next words; words that are blocked at this step are IMPOSSIBLE.
                The subclass must skip the words that are always forbidden.
            total: (pictures x parents, 1) logsumexp over all words.
            draws: (pictures, beams) random numbers of this step for sampling, () otherwise.

        Returns:
            the choice. A finished hypothesis must be among the parents once; it does not change.
        """
        raise TypeError(f"{type(self).__name__} does not implement choose")

    def inputs(self, features: Any, first: Numbers = 0) -> Any:
        """Return the input of `call` for features.

        Args:
            features: the pictures' features.
            first: the number of the first picture in the user's input (the others follow); or (pictures,) one number
                each.
        """
        return features

    def call(self, features: Any) -> dict[str, Tensor]:
        """Generate captions for features (pictures, channels) or (pictures, regions, channels)."""
        return self.run(features, ())

    def run(self, features: Any, draws: Any) -> dict[str, Tensor]:
        """Generate captions; for `draws` see Given."""
        given = Given(self.decoder.encode(features), draws)
        pictures = ops.shape(tree.flatten(given.memory)[0])[0]
        start = SearchState(
            position=ops.convert_to_tensor(0, "int32"),
            last=ops.full((pictures,), START, dtype="int32"),
            state=self.decoder.initial_state(given.memory, self.config.max_length),
            hypotheses=Hypotheses(
                tokens=ops.full((pictures, 1, self.config.max_length), PAD, dtype="int32"),
                log_probs=ops.zeros((pictures, 1)),
                lengths=ops.zeros((pictures, 1), dtype="int32"),
                finished=ops.zeros((pictures, 1), dtype="bool"),
                sources=ops.zeros((pictures, 1, self.config.max_length), dtype="int32"),
            ),
            attention=(),
        )
        known = isinstance(pictures, int)  # not when tracing a graph for any number of pictures
        halvings = 0 if known and pictures < SMALLEST_TO_HALVE else self.halvings
        return self._finish(self._advance(start, given), given, pictures, halvings)

    def _finish(self, progress: SearchState, given: Given, pictures: Any, halvings: int) -> dict[str, Tensor]:
        """Run the loop to its end; when half of the pictures are finished, continue with the others only."""
        rest = pictures // 2 if halvings else 0

        def goes_on(*variables: Any) -> Tensor:
            progress = SearchState(*variables)
            open_pictures = ops.sum(ops.cast(self._can_improve(Hypotheses(*progress.hypotheses)), "int32"))
            return ops.logical_and(progress.position < self.config.max_length, open_pictures > rest)

        def body(*variables: Any) -> tuple[Any, ...]:
            progress = SearchState(*variables)
            return tuple(self._advance(progress._replace(hypotheses=Hypotheses(*progress.hypotheses)), given))

        progress = SearchState(*ops.while_loop(goes_on, body, tuple(progress)))
        progress = progress._replace(hypotheses=Hypotheses(*progress.hypotheses))
        best = self._best(progress)
        if not halvings:
            return best
        open_first = ops.cast(self._can_improve(progress.hypotheses), "float32")
        chosen = ops.cast(ops.top_k(open_first, rest)[1], "int32")  # (rest,)
        part = self._finish(*_part(progress, given, chosen, self.beams), rest, halvings - 1)
        return {name: ops.scatter_update(best[name], chosen[:, None], part[name]) for name in best}

    def _advance(self, progress: SearchState, given: Given) -> SearchState:
        """Add a word to every open hypothesis and reorder the beams by their parents."""
        position, last, old = progress.position, progress.last, progress.hypotheses
        parents_before, length = old.log_probs.shape[1], self.config.max_length
        pictures = ops.shape(old.log_probs)[0]
        logits, state, attention = self.decoder.step(last, position, progress.state, given.memory)
        logits = ops.cast(logits, "float32")  # (pictures x parents, words)
        total = ops.logsumexp(logits, axis=-1, keepdims=True)
        blocked = self.constraints.blocked(ops.reshape(old.tokens, (-1, length)), last, position)
        draws = given.draws if isinstance(given.draws, tuple) else ops.take(given.draws, position, axis=2)
        possible = self.constraints.begin(logits, block(logits, blocked), position)
        choice = self.choose(old, possible, total, draws)

        rows = choice.parents + ops.arange(pictures)[:, None] * parents_before  # (pictures, beams)
        rows = ops.reshape(rows, (-1,))
        if self.branches or parents_before != self.beams:

            def follow(values: Tensor) -> Tensor:
                """Copy each parent's values to its hypotheses: (pictures, parents, ...) -> (pictures, beams, ...)."""
                flat = ops.reshape(values, (-1, *values.shape[2:]))
                return ops.reshape(ops.take(flat, rows, axis=0), (-1, self.beams, *values.shape[2:]))

            old = Hypotheses(*map(follow, old))
            state = tree.map_structure(lambda leaf: ops.take(leaf, rows, axis=0), state)
        words = ops.where(old.finished, PAD, choice.words)  # (pictures, beams)
        log_probs = old.log_probs + ops.where(old.finished, 0.0, choice.log_probs)
        # If the words do not fill the beam, impossible hypotheses do; these must not finish and so keep their place.
        ended = ops.logical_and(words == END, log_probs > IMPOSSIBLE / 2)
        now = ops.arange(length) == position  # (max_length,)
        hypotheses = Hypotheses(
            tokens=ops.where(now, words[:, :, None], old.tokens),
            log_probs=log_probs,
            lengths=old.lengths + ops.cast(~old.finished, "int32"),
            finished=ops.logical_or(old.finished, ended),
            sources=ops.where(now, choice.parents[:, :, None], old.sources),
        )
        history = self._record(progress.attention, attention, position, parents_before)
        return SearchState(position + 1, ops.reshape(words, (-1,)), state, hypotheses, history)

    def _record(self, history: Tensor, attention: Tensor, position: Tensor, parents: int) -> Tensor:
        """Write a step's attention (pictures x parents, regions) into the history (see SearchState)."""
        regions = attention.shape[-1]
        if isinstance(history, tuple):
            rows = ops.shape(attention)[0] // parents * self.beams
            history = ops.zeros((self.config.max_length, rows, regions))
        if not regions:  # without repeating: ONNX cannot reshape an empty tensor
            return history
        if parents < self.beams:  # at the first word all beams of a picture are the same
            attention = ops.repeat(attention, self.beams, axis=0)
        return ops.scatter_update(history, ops.reshape(position, (1, 1)), ops.cast(attention, "float32")[None])

    def _scores(self, hypotheses: Hypotheses) -> Tensor:
        """Return the scores that rank the hypotheses at the end: (pictures, beams)."""
        return self._normalized(hypotheses.log_probs, hypotheses.lengths)

    def _normalized(self, log_probs: Tensor, lengths: Tensor) -> Tensor:
        if self.config.normalization == "none":
            return log_probs
        lengths = ops.cast(lengths, "float32")
        base = lengths if self.config.normalization == "average" else (5.0 + lengths) / 6.0
        return log_probs / ops.power(ops.maximum(base, 1.0 / 6.0), self.config.length_penalty)

    def score(self, log_prob: float, length: int) -> float:
        """Return the score that ranks a finished caption of `length` words, including `<end>`."""
        if self.config.normalization == "none":
            return log_prob
        base = length if self.config.normalization == "average" else (5.0 + length) / 6.0
        return log_prob / max(base, 1.0 / 6.0) ** self.config.length_penalty

    def _can_improve(self, hypotheses: Hypotheses) -> Tensor:
        """Return for each picture whether an open hypothesis could still enter the n best: (pictures,).

        A log-probability only falls, and its divisor only grows up to max_length. So the current log-probability over
        the largest divisor is an upper bound for an open hypothesis, and stopping early changes no result.
        """
        done = ops.where(hypotheses.finished, self._scores(hypotheses), 2 * IMPOSSIBLE)
        nth_best = ops.top_k(done, self.n)[0][:, -1]  # (pictures,)
        longest = ops.full_like(hypotheses.lengths, self.config.max_length)
        bound = ops.where(hypotheses.finished, 2 * IMPOSSIBLE, self._normalized(hypotheses.log_probs, longest))
        return ops.max(bound, axis=1) > nth_best

    def _best(self, progress: SearchState) -> dict[str, Tensor]:
        """Return the n best of each picture, best first."""
        hypotheses, length = progress.hypotheses, self.config.max_length
        # Open hypotheses are ranked by their score, too: one that never ends is a caption.
        scores, order = ops.top_k(self._scores(hypotheses), self.n)
        order = ops.cast(order, "int32")  # (pictures, n)
        log_probs = ops.take_along_axis(hypotheses.log_probs, order, axis=1)
        best = {
            "tokens": ops.take_along_axis(hypotheses.tokens, order[:, :, None], axis=1),
            "log_probs": ops.where(scores > 2 * IMPOSSIBLE, log_probs, IMPOSSIBLE),
            "lengths": ops.take_along_axis(hypotheses.lengths, order, axis=1),
        }
        regions = progress.attention.shape[-1]
        if regions:
            beams = ops.take_along_axis(hypotheses.sources, order[:, :, None], axis=1)  # (pictures, n, max_length)
            pictures = ops.shape(order)[0]
            rows = beams + ops.arange(pictures)[:, None, None] * self.beams
            rows += ops.arange(length) * (pictures * self.beams)
            flat = ops.reshape(progress.attention, (-1, regions))
            best["attention"] = ops.take(flat, rows, axis=0)  # (pictures, n, max_length, regions)
        return best


def _part(progress: SearchState, given: Given, pictures: Tensor, beams: int) -> tuple[SearchState, Given]:
    """Return the loop's variables for some pictures (any,) only."""
    rows = ops.reshape(pictures[:, None] * beams + np.arange(beams, dtype="int32"), (-1,))

    def of_rows(leaf: Tensor) -> Tensor:
        return ops.take(leaf, rows, axis=0)

    def of_pictures(leaf: Tensor) -> Tensor:
        return ops.take(leaf, pictures, axis=0)

    part = SearchState(
        position=progress.position,
        last=of_rows(progress.last),
        state=tree.map_structure(of_rows, progress.state),
        hypotheses=Hypotheses(*map(of_pictures, progress.hypotheses)),
        attention=ops.take(progress.attention, rows, axis=1),
    )
    return part, Given(tree.map_structure(of_pictures, given.memory), tree.map_structure(of_pictures, given.draws))
