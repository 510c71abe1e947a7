"""Encoders: compute one vector or a grid of region vectors for each picture."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import keras
import numpy as np
from keras import ops

from captioner.config import ConfigError
from captioner.encoders.applications import PREPROCESSING, load_trunk, pooled, regions
from captioner.encoders.config import IDENTITY, OPTIONAL, Precision, config_of, differences
from captioner.encoders.config import EncoderConfig as EncoderConfig
from captioner.encoders.folding import fold_normalizations
from captioner.encoders.trunk import NetworkHead, Trunk, as_list, clone_in
from captioner.hub_presets import HUB
from captioner.images.decode import resize
from captioner.images.views import look
from captioner.storage import DataError

_IN_TURN = threading.Lock()


class Encoder:
    """A pretrained network up to one layer or several, with its resizing and preprocessing. Made by `build_encoder`.

    Attributes:
        descriptions: a description for each layer, as JSON values. The keys in `IDENTITY` identify the encoder
            (`weights` is a digest); `precision`, `feature_shape` and `source` (the source of the weights) are also
            recorded, and `asked` is the requested name of the layer if it has another name.
        input_size: (height, width) in pixels.
    """

    def __init__(
        self, trunk: Trunk, config: EncoderConfig, precision: str = "float32", layers: Sequence[str] | None = None
    ) -> None:
        self._trunk, self._config = trunk, config
        self._asked_for = asked_for = tuple(layers) if layers is not None else tuple(head.layer for head in trunk.heads)
        self._model = _from_bytes(trunk)  # (batch, height, width, 3) uint8 -> a list of features, one per layer
        self.input_size = trunk.input_size
        self.descriptions: tuple[dict[str, Any], ...] = tuple(
            {
                "backbone": config.backbone,
                "layer": head.layer,
                "input_size": list(trunk.input_size),
                "resizing": config.resizing,
                "filter": config.filter,
                "preprocessing": trunk.preprocessing,
                "weights": head.digest,
                "precision": precision,
                "feature_shape": list(output.shape[1:]),
                "source": config.weights,
                **({} if config.view == "whole" else {"view": config.view}),
                **({"asked": asked} if asked != head.layer else {}),  # `grid` for the last grid's own name
            }
            for head, output, asked in zip(trunk.heads, self._model.outputs, asked_for, strict=True)
        )

    @property
    def description(self) -> dict[str, Any]:
        """The description of the first layer, usually the only one."""
        return self.descriptions[0]

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """(channels,) or (regions, channels) of the first layer."""
        return tuple(self.description["feature_shape"])

    @property
    def network(self) -> keras.Model:
        """The network itself: preprocessed pictures (batch, height, width, 3) -> the layer's output."""
        return self._trunk.model

    def in_precision(self, precision: str) -> Encoder:
        """Return the same encoder with computation in `float32` or `bfloat16`."""
        return Encoder(self._trunk.in_precision(precision), self._config, precision, self._asked_for)

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """Resize a picture (h, w, 3) uint8, or its view, to (height, width, 3) uint8 with the encoder's settings."""
        return resize(look(picture, self._config.view), self.input_size, self._config.resizing, self._config.filter)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Encode prepared pictures.

        Args:
            pictures: (n, height, width, 3) uint8. They go through the network as one batch.

        Returns:
            (n, channels) or (n, regions, channels) float32, the first layer's; regions run row by row.

        Raises:
            ValueError: the pictures have another shape or type.
        """
        return self.encode_layers(pictures)[0]

    @property
    def variables(self) -> list[Any]:
        """The network's weights, as Keras' variables."""
        return list(self._model.variables)

    def features(self, pictures: Any) -> Any:
        """Return the first layer's features of a tensor of prepared pictures, for a graph that is being traced."""
        return as_list(self._model(pictures, training=False))[0]

    def encode_layers(self, pictures: np.ndarray, at_least: int = 0) -> list[np.ndarray]:
        """Encode prepared pictures; return the features of each layer, as in `encode`, from one pass.

        Args:
            pictures: see `encode`.
            at_least: the batch is padded with black pictures to this size, for which the network is already compiled:
                compiling for another size can take longer than many batches.
        """
        count = len(pictures)
        if pictures.shape[1:] != (*self.input_size, 3) or pictures.dtype != np.uint8:
            expected = f"(n, {self.input_size[0]}, {self.input_size[1]}, 3) uint8"
            raise ValueError(f"pictures: expected {expected}, found {pictures.shape} {pictures.dtype}")
        if not count:
            return [np.zeros((0, *description["feature_shape"]), np.float32) for description in self.descriptions]
        padding = _padded(max(count, at_least)) - count
        batch = np.pad(pictures, ((0, padding), (0, 0), (0, 0), (0, 0))) if padding else pictures
        with _alone():
            return [np.asarray(features)[:count] for features in as_list(self._model.predict_on_batch(batch))]


def _alone() -> contextlib.AbstractContextManager[Any]:
    """Allow only one thread at a time in the network on JAX, where Keras donates its weights during a prediction."""
    return _IN_TURN if keras.backend.backend() == "jax" else contextlib.nullcontext()


def _from_bytes(trunk: Trunk) -> keras.Model:
    pictures = keras.Input((*trunk.input_size, 3), dtype="uint8")  # (batch, height, width, 3)
    outputs = as_list(trunk.model(trunk.preprocess(ops.cast(pictures, "float32")), training=False))
    features = [head.finish(ops.cast(output, "float32")) for head, output in zip(trunk.heads, outputs, strict=True)]
    return keras.Model(pictures, features)


def _padded(count: int) -> int:
    """Return the batch size to which `count` pictures are padded, so that few sizes are compiled."""
    return -(-count // 8) * 8 if count > 8 else 1 << (count - 1).bit_length()


def build_encoder(config: EncoderConfig, precision: str = "float32", layers: Sequence[str] | None = None) -> Encoder:
    """Build an encoder and load its weights.

    Args:
        config: the network, its weights, and the resizing.
        precision: precision of weights and activations.
        layers: several layers to compute in one pass; by default the layer of the configuration.

    Raises:
        ConfigError: an unknown backbone, layer or precision, or a layer that gives neither vectors nor a grid.
        DataError: its weights are not available.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision {precision!r} is unknown; known: {', '.join(get_args(Precision))}")
    wanted = (config.layer,) if layers is None else tuple(layers)
    if config.backbone.startswith(HUB):
        from captioner.encoders.hub import load_hub_trunk

        trunk = load_hub_trunk(config.backbone.removeprefix(HUB), wanted, config.weights)
    else:
        trunk = load_trunk(config.backbone, wanted, config.weights, config.size)
    encoder = Encoder(replace(trunk, model=fold_normalizations(trunk.model)), config, layers=wanted)
    return encoder if precision == "float32" else encoder.in_precision(precision)


def encoder_from_description(
    description: Mapping[str, Any], precision: str = "float32", weights: str | None = None
) -> Encoder:
    """Build the encoder that `description` describes.

    Args:
        description: an Encoder's description, as in manifests.
        precision: `float32` or `bfloat16`, independent of the description.
        weights: the source of the weights, if it differs from the description's.

    Raises:
        DataError: it is not a description, or the weights (or anything else) differ from it.
    """
    if missing := [key for key in IDENTITY if key not in description and key not in OPTIONAL]:
        raise DataError(f"the encoder's description lacks {', '.join(missing)}; make the features again")
    try:
        config = config_of(description, weights)
        encoder = build_encoder(config, precision)
    except ConfigError as error:
        raise DataError(f"no encoder can be built from the description: {error}") from None
    if found := differences(description, encoder.description):
        raise DataError(f"the encoder built from {config.weights!r} differs from its description: {'; '.join(found)}")
    return encoder


def encoder_from_network(network: keras.Model, description: Mapping[str, Any]) -> Encoder:
    """Build an encoder from an existing network, such as `Encoder.network`, with its weights.

    Raises:
        DataError: the description does not fit such a network.
    """
    if missing := [key for key in IDENTITY if key not in description and key not in OPTIONAL]:
        raise DataError(f"the encoder's description lacks {', '.join(missing)}")
    if description["preprocessing"] not in PREPROCESSING:
        raise DataError(f"the preprocessing {description['preprocessing']!r} is unknown")
    head = NetworkHead(
        description["layer"], description["weights"], pooled if description["layer"] == "pool" else regions
    )
    preprocess = PREPROCESSING[description["preprocessing"]]
    trunk = Trunk(network, (head,), description["preprocessing"], preprocess, clone_in)
    return Encoder(trunk, config_of(description))
