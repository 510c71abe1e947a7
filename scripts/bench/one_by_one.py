"""A reference for decoding: a compiled step for one picture at a time, with the beam search in Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import PAD, START, UNK


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with the backend."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow

    return tensorflow.function(function, autograph=False)


def beam_rate(decoder: CaptionDecoder, features: np.ndarray, beams: int, length: int) -> float:
    """Return the captions per second of a beam search over one picture after another.

    The compiled step finds the most probable words of each hypothesis and reorders the beams. Python only chooses among
    beams x beams numbers.
    """
    never = np.zeros(decoder.vocabulary_size, "float32")
    never[[PAD, START, UNK]] = -1e9

    def step(token: Any, parents: Any, position: Any, state: Any, memory: Any) -> Any:
        state = tree.map_structure(lambda leaf: ops.take(leaf, parents, axis=0), state)
        logits, state, _ = decoder.step(token, position, state, memory)
        log_probs, words = ops.top_k(ops.log_softmax(logits, axis=-1) + never, beams)
        return log_probs, words, state

    step, encode = compiled(step), compiled(decoder.encode)

    def one(picture: np.ndarray) -> np.ndarray:
        memory = encode(picture[None])
        state = decoder.initial_state(memory, length)
        state = tree.map_structure(lambda leaf: ops.repeat(leaf, beams, axis=0), state)
        token, parents = np.full(beams, START, "int32"), np.arange(beams, dtype="int32")
        totals = np.where(parents == 0, 0.0, -1e9)
        captions = np.zeros((beams, length), "int32")
        for position in range(length):
            log_probs, words, state = step(token, parents, np.int32(position), state, memory)
            scores = (totals[:, None] + np.asarray(log_probs)).ravel()  # (beams x beams,)
            chosen = np.argpartition(-scores, beams - 1)[:beams]
            totals, parents = scores[chosen], (chosen // beams).astype("int32")
            token = np.asarray(words).ravel()[chosen].astype("int32")
            captions = captions[parents]
            captions[:, position] = token
        return captions[totals.argmax()]

    one(features[0])
    began = time.perf_counter()
    for picture in features:
        one(picture)
    return len(features) / (time.perf_counter() - began)
