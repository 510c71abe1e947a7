"""Scheduled sampling: in training, the decoder reads some of its own words (Bengio et al. 2015).

A caption is read in one pass, so the decoder's own words come from a first, teacher-forced pass, as in Mihaylova and
Martins, "Scheduled Sampling for Transformers", 2019. The second pass reads a mix of both; only it has a gradient.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import PAD

Tensor = Any


@keras.saving.register_keras_serializable("captioner")
class ScheduledSampling(keras.Model):
    """A decoder in training that reads its own words instead of some of the reference's.

    Args:
        decoder: the decoder to train; afterwards it is used without this model.
        seed: seed of the choice of words.
    """

    def __init__(self, decoder: CaptionDecoder, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decoder, self.seed = decoder, seed
        self.random = keras.random.SeedGenerator(seed)
        self.share = self.add_weight(shape=(), initializer="zeros", trainable=False, name="share")
        self.built = True

    def call(self, inputs: tuple[Tensor, Tensor, Tensor], training: bool = False) -> Tensor:
        """Return the logits (n, words) of CaptionDecoder.call; in training `share` of the words read are its own."""
        features, tokens, positions = inputs
        if training:
            first = ops.stop_gradient(self.decoder((features, tokens, positions), training=False))
            tokens = self.mixed(tokens, positions, first)
        return self.decoder((features, tokens, positions), training=training)

    def mixed(self, tokens: Tensor, positions: Tensor, logits: Tensor) -> Tensor:
        """Return tokens in which the decoder's own words replace `share` of the reference's words.

        Args:
            tokens: (pictures, captions, time), beginning with `<start>`, padded on the right.
            positions: (n,), distinct indices into the flattened tokens.
            logits: (n, words) of the word after each position.
        """
        own = keras.random.categorical(ops.cast(logits, "float32"), 1, seed=self.random)[:, 0]
        chance = keras.random.uniform(ops.shape(positions), seed=self.random)
        shape = ops.shape(tokens)
        flat = ops.reshape(tokens, (-1,))
        following = ops.scatter(positions[:, None], ops.cast(own, "int32") + 1, ops.shape(flat))  # 0: none
        # A word that is predicted at one place is read at the next; the first of a caption is always <start>.
        following = ops.reshape(following, shape)[:, :, :-1]
        read = ops.pad(following, ((0, 0), (0, 0), (1, 0)))
        drawn = ops.reshape(
            ops.scatter(positions[:, None], ops.cast(chance < self.share, "int32"), ops.shape(flat)), shape
        )
        replaced = ops.logical_and(ops.logical_and(drawn > 0, read > 0), tokens != PAD)
        return ops.where(replaced, read - 1, tokens)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ScheduledSampling:
        """Build a model from the result of `get_config`."""
        decoder = keras.saving.deserialize_keras_object(config["decoder"], custom_objects=custom_objects)
        return cls(**{**config, "decoder": decoder})


class RisingShare(keras.callbacks.Callback):
    """Raises the share of own words linearly from 0 in the first epoch to `highest` in the last one."""

    async_safe = True

    def __init__(self, model: ScheduledSampling, highest: float, epochs: int) -> None:
        super().__init__()
        self.sampling, self.highest, self.epochs = model, highest, epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the epoch's share."""
        self.sampling.share.assign(self.highest * epoch / max(1, self.epochs - 1))
