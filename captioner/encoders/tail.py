"""The upper layers of an encoder as a separate network, to be trained together with a decoder."""

from __future__ import annotations

from dataclasses import replace

import keras

from captioner.config import ConfigError
from captioner.encoders.applications import load_trunk
from captioner.encoders.config import EncoderConfig
from captioner.encoders.folding import fold_normalizations
from captioner.encoders.trunk import clone_in
from captioner.hub_presets import HUB


def build_tail(config: EncoderConfig) -> keras.Model:
    """Return the layers of an encoder after `config.layer`, up to and including `config.trained_to`.

    Batch normalizations are folded into the convolutions before them, so that their statistics do not change.

    Args:
        config: `layer` is the end of the frozen part, `trained_to` the end of the tail.

    Returns:
        a functional model, (batch, rows, columns, channels) -> (batch, rows, columns, channels).

    Raises:
        ConfigError: the layers between these two cannot be separated.
        DataError: the weights are not available.
    """
    where = f"encoder.trained_to: {config.trained_to!r} of {config.backbone}"
    if config.trained_to is None or config.backbone.startswith(HUB):
        raise ConfigError(f"{where}: only the upper layers of a convolutional network can be trained")
    trunk = load_trunk(config.backbone, (config.layer, config.trained_to), config.weights, config.size)
    if any(head.layer == "pool" for head in trunk.heads):
        raise ConfigError(f"{where}: name grids, not pool, both in encoder.layer and in encoder.trained_to")
    begin, end = replace(trunk, model=fold_normalizations(trunk.model)).model.outputs
    if len(begin.shape) != 4 or len(end.shape) != 4:
        raise ConfigError(f"{where}: the layer and encoder.layer must both give a grid of rows and columns")
    try:
        tail = keras.Model(begin, end, name="tail")
    except ValueError:
        raise ConfigError(
            f"{where}: does not follow from layer {config.layer!r} alone; name the end of a block"
        ) from None
    if not tail.weights:
        raise ConfigError(f"{where}: there are no weights between it and layer {config.layer!r}")
    return clone_in(tail, "float32")
