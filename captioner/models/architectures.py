"""The architectures by name, and the decoder for a recipe's `model` section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from captioner.models.adaptive import AdaptiveDecoder
from captioner.models.attention import AttentionDecoder
from captioner.models.attention_on_attention import AttentionOnAttentionDecoder
from captioner.models.config import model_config
from captioner.models.decoder import CaptionDecoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.models.inject import InitInjectDecoder, ParInjectDecoder, PreInjectDecoder
from captioner.models.merge import MergeDecoder
from captioner.models.prefix import PrefixDecoder
from captioner.models.transformer import TransformerDecoder

DECODERS: dict[str, type[CaptionDecoder]] = {  # by the names in captioner.models.config.ARCHITECTURES
    "merge": MergeDecoder,
    "init-inject": InitInjectDecoder,
    "pre-inject": PreInjectDecoder,
    "par-inject": ParInjectDecoder,
    "attention": AttentionDecoder,
    "adaptive": AdaptiveDecoder,
    "attention-on-attention": AttentionOnAttentionDecoder,
    "transformer": TransformerDecoder,
    "prefix": PrefixDecoder,
}

# settings that change how weights are trained, but not what a model with these weights computes
_OF_TRAINING = {"l2", "doubly_stochastic", "embeddings", "freeze_embeddings", "output_bias", "train_language_model"}


def build_decoder(
    settings: Mapping[str, Any], vocabulary_size: int, feature_shape: tuple[int, ...], **kwargs: Any
) -> CaptionDecoder:
    """Build the decoder of a recipe's `model` section with new weights.

    Args:
        settings: the section: `architecture` and its settings.
        vocabulary_size, feature_shape: see CaptionDecoder.
        kwargs: arguments for keras.Model, such as `dtype`.

    Raises:
        ConfigError: see `model_config`; or the features do not suit the architecture.
    """
    name, config = model_config(settings)
    return DECODERS[name](config=config, vocabulary_size=vocabulary_size, feature_shape=feature_shape, **kwargs)


def differing_settings(one: CaptionDecoder, other: CaptionDecoder) -> list[str]:
    """Return the settings in which two models with the same weights would differ, such as "heads 2 and 4"."""
    one, other = (each.decoder if isinstance(each, FineTunedDecoder) else each for each in (one, other))
    if type(one) is not type(other):
        return [f"{type(one).__name__} and {type(other).__name__}"]
    left, right = (asdict(each.config) for each in (one, other))
    return [
        f"{name} {left[name]} and {right[name]}"
        for name in left
        if left[name] != right[name] and name not in _OF_TRAINING and not name.endswith("dropout")
    ]
