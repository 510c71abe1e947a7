"""What a search carries from word to word."""

from __future__ import annotations

from typing import Any, NamedTuple

Tensor = Any


class Hypotheses(NamedTuple):
    """The captions so far; a picture's beams are side by side.

    Attributes:
        tokens: (pictures, beams, max_length) int32, `<pad>` after the end.
        log_probs: (pictures, beams) sum of the words' log-probabilities.
        lengths: (pictures, beams) int32 words so far, `<end>` included.
        finished: (pictures, beams) bool.
        sources: (pictures, beams, max_length) int32, the beam in which a word was predicted: where its attention lies.
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
        last: (pictures x beams,) int32, the word before.
        state: of the decoder, leaves (pictures x beams, ...).
        hypotheses: the captions so far.
        attention: (max_length, pictures x beams, regions) as the decoder gave it, never put in another order.
    """

    position: Tensor
    last: Tensor
    state: Any
    hypotheses: Hypotheses
    attention: Tensor


class Choice(NamedTuple):
    """How the hypotheses go on.

    Attributes:
        parents: (pictures, beams) int32, the beam that is continued.
        words: (pictures, beams) int32.
        log_probs: (pictures, beams) of the words.
    """

    parents: Tensor
    words: Tensor
    log_probs: Tensor


class Given(NamedTuple):
    """What stays the same over the loop.

    Attributes:
        memory: of the decoder, leaves (pictures, ...).
        draws: (pictures, beams, max_length) numbers from 0 to 1 that sampling draws by; () for other searches.
    """

    memory: Any
    draws: Any
