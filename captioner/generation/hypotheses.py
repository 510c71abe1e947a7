"""The state of a search between words."""

from __future__ import annotations

from typing import Any, NamedTuple

Tensor = Any


class Hypotheses(NamedTuple):
    """The captions so far; a picture's beams are side by side.

    Attributes:
        tokens: (pictures, beams, max_length) int32, `<pad>` after the end.
        log_probs: (pictures, beams) sum of the words' log-probabilities.
        lengths: (pictures, beams) int32 words so far, including `<end>`.
        finished: (pictures, beams) bool.
        sources: (pictures, beams, max_length) int32, the beam in which a word was predicted and whose attention it has.
    """

    tokens: Tensor
    log_probs: Tensor
    lengths: Tensor
    finished: Tensor
    sources: Tensor


class SearchState(NamedTuple):
    """The loop's variables.

    Attributes:
        position: scalar int32, the index of the next word.
        last: (pictures x beams,) int32, the previous word.
        state: the decoder's state, with leaves (pictures x beams, ...).
        hypotheses: the captions so far.
        attention: (max_length, pictures x beams, regions) from the decoder, never reordered.
    """

    position: Tensor
    last: Tensor
    state: Any
    hypotheses: Hypotheses
    attention: Tensor


class Choice(NamedTuple):
    """How the hypotheses continue.

    Attributes:
        parents: (pictures, beams) int32, the beam that is continued.
        words: (pictures, beams) int32.
        log_probs: (pictures, beams) log-probabilities of the words.
    """

    parents: Tensor
    words: Tensor
    log_probs: Tensor


class Given(NamedTuple):
    """The inputs that do not change in the loop.

    Attributes:
        memory: the decoder's memory, with leaves (pictures, ...).
        draws: (pictures, beams, max_length) random numbers from 0 to 1 for sampling; () for other searches.
    """

    memory: Any
    draws: Any
