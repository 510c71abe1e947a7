"""The functions that TensorFlow traces for an export: the encoder, the first state, a step, and the whole loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops, tree

from captioner.captioner import Captioner
from captioner.config import ConfigError
from captioner.encoders.encoder import Encoder
from captioner.models.decoder import CaptionDecoder
from captioner.models.fine_tuned import FineTunedDecoder

Tensor = Any


class GraphPiece(NamedTuple):
    """A function and its signature.

    Attributes:
        function: takes tensors in the signature's order and returns a dict of tensors.
        signature: a named tf.TensorSpec for each tensor.
    """

    function: Callable[..., dict[str, Tensor]]
    signature: list[Any]


def require_tensorflow() -> None:
    """Refuse backends other than TensorFlow. Raises ConfigError."""
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(f"export needs Keras on TensorFlow, found KERAS_BACKEND={keras.backend.backend()}; unset it")


def encoder_piece(encoder: Encoder, pictures: int | None = None) -> GraphPiece:
    """Return pictures (pictures, height, width, 3) uint8, of the encoder's size -> features."""
    import tensorflow as tf

    def encode(pictures: Tensor) -> dict[str, Tensor]:
        return {"features": encoder.features(pictures)}

    return GraphPiece(encode, [tf.TensorSpec((pictures, *encoder.input_size, 3), tf.uint8, name="pictures")])


def start_piece(decoder: CaptionDecoder) -> GraphPiece:
    """Return features -> memory_0, ..., and the first state_0, ...; states with one entry per word are still empty.

    A decoder with encoder layers of its own also gives `vectors`, see Captioner.vectors.
    """
    import tensorflow as tf

    def start(features: Tensor) -> dict[str, Tensor]:
        memory = decoder.encode(features)
        state = decoder.initial_state(memory, 0)
        found = {**_named("memory_", memory), **_named("state_", state)}
        if isinstance(decoder, FineTunedDecoder):
            found["vectors"] = decoder.vectors(features)
        return found

    return GraphPiece(start, [tf.TensorSpec((None, *decoder.feature_shape), tf.float32, name="features")])


def step_piece(decoder: CaptionDecoder) -> GraphPiece:
    """Return token, position, state_0, ..., memory_0, ... -> logits, total, attention, new_state_0, ...

    See captioner.export.numpy_search.Step. A decoder without attention over regions has no output attention.
    """
    import tensorflow as tf

    memory, state = _examples(decoder, 7)
    other = tree.flatten(_examples(decoder, 9)[1])  # axes whose lengths differ depend on the caption's length
    flat_state, flat_memory = tree.flatten(state), tree.flatten(memory)

    def step(token: Tensor, position: Tensor, *rest: Tensor) -> dict[str, Tensor]:
        own_state = tree.pack_sequence_as(state, list(rest[: len(flat_state)]))
        own_memory = tree.pack_sequence_as(memory, list(rest[len(flat_state) :]))
        logits, new_state, attention = decoder.step(token, position, own_state, own_memory)
        logits = ops.cast(logits, "float32")
        found = {"logits": logits, "total": ops.logsumexp(logits, axis=-1, keepdims=True)}
        if attention.shape[-1]:
            found["attention"] = ops.cast(attention, "float32")
        return {**found, **_named("new_state_", new_state)}

    signature = [tf.TensorSpec((None,), tf.int32, name="token"), tf.TensorSpec((), tf.int32, name="position")]
    for index, (leaf, longer) in enumerate(zip(flat_state, other, strict=True)):
        pairs = zip(leaf.shape[1:], longer.shape[1:], strict=True)
        shape = (None, *(size if size == another else None for size, another in pairs))
        signature.append(tf.TensorSpec(shape, leaf.dtype, name=f"state_{index}"))
    for index, leaf in enumerate(flat_memory):
        signature.append(tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype, name=f"memory_{index}"))
    return GraphPiece(step, signature)


def whole_piece(captioner: Captioner, n: int, pictures: int | None = None, **changes: Any) -> GraphPiece:
    """Return pictures (pictures, height, width, 3) uint8 -> tokens (pictures, n, max_length), log_probs (pictures, n).

    Args:
        captioner: the captioner.
        n: captions per picture.
        pictures: number of pictures in a batch; None for any number.
        changes: generation settings that differ from the captioner's.

    Raises:
        ConfigError: the captions are sampled, which exported graphs do not support.
        DataError: the encoder is not available.
    """
    encoder, search = encoder_piece(captioner.find_encoder(), pictures), exported_search(captioner, n, **changes)

    def caption(pictures: Tensor) -> dict[str, Tensor]:
        found = search.call(encoder.function(pictures)["features"])
        return {"tokens": found["tokens"], "log_probs": found["log_probs"]}

    return GraphPiece(caption, encoder.signature)


def exported_search(captioner: Captioner, n: int, **changes: Any) -> Any:
    """Return a search without the loop copies that speed up large batches. Raises ConfigError, see `whole_piece`."""
    from captioner.generation.decode import make_search

    config = captioner.search(n, **changes).config
    if config.sampling:
        raise ConfigError("sampling cannot be exported, because a graph has no random numbers; add --beam-size 3")
    search = make_search(captioner.decoder, config, n, captioner.vocabulary)
    search.halvings = 0
    return search


def _examples(decoder: CaptionDecoder, max_length: int) -> tuple[Any, Any]:
    features = ops.zeros((1, *decoder.feature_shape))
    memory = decoder.encode(features)
    return memory, decoder.initial_state(memory, max_length)


def _named(prefix: str, leaves: Any) -> dict[str, Tensor]:
    return {f"{prefix}{index}": leaf + 0 for index, leaf in enumerate(tree.flatten(leaves))}
