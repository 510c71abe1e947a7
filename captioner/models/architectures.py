"""The architectures by name, and how a recipe's `model` section becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from captioner.config import ConfigError, build
from captioner.models.adaptive import AdaptiveConfig, AdaptiveDecoder
from captioner.models.attention import AttentionConfig, AttentionDecoder
from captioner.models.attention_on_attention import AttentionOnAttentionConfig, AttentionOnAttentionDecoder
from captioner.models.decoder import CaptionDecoder
from captioner.models.inject import InitInjectDecoder, InjectConfig, ParInjectDecoder, PreInjectDecoder
from captioner.models.merge import MergeConfig, MergeDecoder
from captioner.models.transformer import TransformerConfig, TransformerDecoder


class Architecture(NamedTuple):
    """A decoder and the dataclass of its settings."""

    decoder: type[CaptionDecoder]
    config: type[Any]


ARCHITECTURES = {
    "merge": Architecture(MergeDecoder, MergeConfig),
    "init-inject": Architecture(InitInjectDecoder, InjectConfig),
    "pre-inject": Architecture(PreInjectDecoder, InjectConfig),
    "par-inject": Architecture(ParInjectDecoder, InjectConfig),
    "attention": Architecture(AttentionDecoder, AttentionConfig),
    "adaptive": Architecture(AdaptiveDecoder, AdaptiveConfig),
    "attention-on-attention": Architecture(AttentionOnAttentionDecoder, AttentionOnAttentionConfig),
    "transformer": Architecture(TransformerDecoder, TransformerConfig),
}


def model_config(settings: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the architecture's name and its checked configuration from a recipe's `model` section.

    Raises:
        ConfigError: an unknown architecture (the message says which exist), an unknown setting or a wrong type.
    """
    options = dict(settings)
    name = options.pop("architecture", "merge")
    if name not in ARCHITECTURES:
        raise ConfigError(f"model.architecture: {name!r} does not exist; known: {', '.join(ARCHITECTURES)}")
    try:
        return name, build(ARCHITECTURES[name].config, options, "model")
    except ConfigError as error:
        misspelt = get_close_matches("architecture", options, n=1)
        if misspelt:
            raise ConfigError(f"model.{misspelt[0]}: unknown setting; did you mean architecture?") from None
        raise error


def build_decoder(
    settings: Mapping[str, Any], vocabulary_size: int, feature_shape: tuple[int, ...], **kwargs: Any
) -> CaptionDecoder:
    """Make the decoder of a recipe's `model` section with fresh weights.

    Args:
        settings: the section: `architecture` and its settings.
        vocabulary_size, feature_shape: see CaptionDecoder.
        kwargs: for keras.Model, such as `dtype`.

    Raises:
        ConfigError: see `model_config`; or the features do not suit the architecture.
    """
    name, config = model_config(settings)
    return ARCHITECTURES[name].decoder(
        config=config, vocabulary_size=vocabulary_size, feature_shape=feature_shape, **kwargs
    )
