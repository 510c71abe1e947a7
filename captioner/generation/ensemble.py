"""Several decoders as one decoder, so that every search can run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from captioner.models.decoder import CaptionDecoder, State, Tensor

LEAST = 1e-20  # replaces 0 before a logarithm


class EnsembleDecoder(CaptionDecoder):
    """Decoders with the same vocabulary; a word's log-probability is the mean over the members.

    The resulting probabilities add up to less than 1. The rest goes to `<pad>`, which no search emits, so that a
    caption's log-probability is the mean of its log-probabilities under the members.

    Features, memory and state are tuples with one entry per member. The attention is the mean over the members with
    attention if they all have the same number of regions; otherwise there is none.

    Args:
        members: two or more decoders, of any architectures.

    Raises:
        ValueError: their vocabularies have different sizes.
    """

    def __init__(self, members: Sequence[CaptionDecoder], **kwargs: Any) -> None:
        sizes = {member.vocabulary_size for member in members}
        if len(sizes) != 1:
            raise ValueError(f"the members of an ensemble have {' and '.join(map(str, sorted(sizes)))} words")
        shapes: Any = tuple(member.feature_shape for member in members)
        super().__init__(sizes.pop(), shapes, **kwargs)
        self.members = list(members)
        self.built = True

    def encode(self, features: tuple[Tensor, ...], training: bool = False) -> tuple[Tensor, ...]:
        """See CaptionDecoder.encode."""
        return tuple(member.encode(own, training) for member, own in zip(self.members, features, strict=True))

    def initial_state(self, memory: tuple[Tensor, ...], max_length: int) -> State:
        """See CaptionDecoder.initial_state."""
        return tuple(member.initial_state(own, max_length) for member, own in zip(self.members, memory, strict=True))

    def step(
        self, token: Tensor, position: Tensor, state: State, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, State, Tensor]:
        """See CaptionDecoder.step."""
        steps = [
            member.step(token, position, own_state, own_memory)
            for member, own_state, own_memory in zip(self.members, state, memory, strict=True)
        ]
        logits, states, attentions = zip(*steps, strict=True)
        return _mean(logits), tuple(states), _mean_attention(attentions)

    def call(self, inputs: tuple[Any, ...], training: bool = False) -> Tensor:
        """See CaptionDecoder.call; the features are a tuple."""
        features, *rest = inputs
        return _mean(
            [member((own, *rest), training=training) for member, own in zip(self.members, features, strict=True)]
        )


def _mean(logits: Sequence[Tensor]) -> Tensor:
    """Return the mean log-probabilities (..., words); <pad>, the first word, gets the missing probability."""
    log_probs = sum(ops.log_softmax(ops.cast(own, "float32"), axis=-1) for own in logits) / len(logits)
    words = log_probs[..., 1:]
    missing = 1.0 - ops.sum(ops.exp(words), axis=-1, keepdims=True)
    return ops.concatenate([ops.log(ops.maximum(missing, LEAST)), words], axis=-1)


def _mean_attention(attentions: Sequence[Tensor]) -> Tensor:
    looking = [attention for attention in attentions if attention.shape[-1]]
    if len({attention.shape[-1] for attention in looking}) != 1:
        return attentions[0][:, :0]
    return sum(ops.cast(attention, "float32") for attention in looking) / len(looking)
