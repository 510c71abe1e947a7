"""Create KerasHub's samplers from generation settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from keras import ops

from captioner.config import ConfigError, to_settings
from captioner.generation.config import GenerationConfig

# The settings of GenerationConfig that KerasHub supports.
SETTINGS = frozenset(
    ("beam_size", "max_length", "sampling", "temperature", "top_k", "top_p", "seed", "start", "prompt")
)


def require_known(config: GenerationConfig, default: GenerationConfig) -> None:
    """Refuse a setting that KerasHub does not support, unless it has its default value.

    Raises:
        ConfigError: with the name of the setting.
    """
    given, usual = to_settings(config), to_settings(default)
    for name in (field.name for field in fields(GenerationConfig)):
        if name not in SETTINGS and given[name] != usual[name]:
            raise ConfigError(f"{name}: KerasHub models do not support this setting; leave it out")


def sampler_of(hub: Any, config: GenerationConfig, several: bool) -> Any:
    """Return the sampler for a config.

    Args:
        hub: the module keras_hub.
        config: how captions are generated.
        several: whether beam search returns its whole beam, for one picture.
    """
    if config.sampling:
        rest: Mapping[str, Any] = {"temperature": config.temperature, "seed": config.seed}
        if config.top_p < 1:
            return hub.samplers.TopPSampler(p=config.top_p, k=config.top_k or None, **rest)
        if config.top_k:
            return hub.samplers.TopKSampler(k=config.top_k, **rest)
        return hub.samplers.RandomSampler(**rest)
    if config.beam_size == 1:
        return hub.samplers.GreedySampler()
    if not several:
        return hub.samplers.BeamSampler(num_beams=config.beam_size)
    return _whole_beam(hub, config.beam_size)


def _whole_beam(hub: Any, beam_size: int) -> Any:
    """Return KerasHub's beam search for one picture, with all beams as rows, best first."""

    class WholeBeam(hub.samplers.BeamSampler):
        """Beam search whose result (1, beams, length) becomes (beams, length), like a batch of pictures."""

        def __call__(self, *positional: Any, **named: Any) -> Any:
            beams, _ = super().__call__(*positional, **named)
            return ops.reshape(beams, (-1, ops.shape(beams)[-1]))

    return WholeBeam(num_beams=beam_size, return_all_beams=True)


def reseed(sampler: Any, seed: int, number: int) -> None:
    """Set a sampler's random state for picture number `number` and a seed, independent of earlier samples."""
    mixed = np.random.SeedSequence([seed, number]).generate_state(1, np.uint32)[0]
    sampler.seed_generator.state.assign(np.array([mixed, 0], np.uint32))
