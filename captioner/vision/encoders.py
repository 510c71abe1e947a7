"""Encoders: pictures in, one vector or a grid of region vectors each out; and what makes two encoders the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from captioner.config import ConfigError, build
from captioner.storage import DataError
from captioner.vision.backbones import PREPROCESSING, find_backbone, load_trunk, weights_digest
from captioner.vision.images import Filter, Resizing, resize

Precision = Literal["float32", "bfloat16"]

IDENTITY = ("backbone", "layer", "input_size", "resizing", "filter", "preprocessing", "weights")


@dataclass(frozen=True)
class EncoderConfig:
    """The `encoder` section of a recipe.

    Attributes:
        backbone: a key of `captioner.vision.backbones.BACKBONES`.
        layer: `pool` (the mean over the last grid), `grid` (the last grid itself), or the name of an inner layer.
        weights: `imagenet`, `random` (seeded, for tests), or the path of a weights file.
        resizing: how a picture comes to the input size, see `captioner.vision.images.resize`.
        filter: how pixels are weighed in resizing.
    """

    backbone: str = "vgg16"
    layer: str = "pool"
    weights: str = "imagenet"
    resizing: Resizing = "whole"
    filter: Filter = "bicubic"

    def __post_init__(self) -> None:
        find_backbone(self.backbone)


class Encoder:
    """A pretrained network up to one layer, with its resizing and preprocessing. Made by `build_encoder`.

    Attributes:
        description: what it is, as JSON can hold it. The keys in `IDENTITY` make two encoders the same (`weights` is a
            digest); `precision`, `feature_shape` and `source` (where the weights came from) are recorded.
        input_size: (height, width) in pixels.
    """

    def __init__(self, model: keras.Model, description: Mapping[str, Any]) -> None:
        self._model = model  # (batch, height, width, 3) uint8 -> (batch, channels) or (batch, regions, channels)
        self.description = dict(description)
        self.input_size: tuple[int, int] = tuple(model.input_shape[1:3])
        self.feature_shape: tuple[int, ...] = tuple(model.output_shape[1:])

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """Resize a picture (h, w, 3) uint8 to (height, width, 3) uint8, the encoder's way."""
        return resize(picture, self.input_size, self.description["resizing"], self.description["filter"])

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Encode prepared pictures.

        Args:
            pictures: (n, height, width, 3) uint8. They go through the network as one batch.

        Returns:
            (n, channels) or (n, regions, channels) float32; regions run row by row.

        Raises:
            ValueError: the pictures have another shape or type.
        """
        count = len(pictures)
        if pictures.shape[1:] != (*self.input_size, 3) or pictures.dtype != np.uint8:
            expected = f"(n, {self.input_size[0]}, {self.input_size[1]}, 3) uint8"
            raise ValueError(f"pictures: expected {expected}, found {pictures.shape} {pictures.dtype}")
        if not count:
            return np.zeros((0, *self.feature_shape), np.float32)
        padding = _padded(count) - count
        batch = np.pad(pictures, ((0, padding), (0, 0), (0, 0), (0, 0))) if padding else pictures
        return np.asarray(self._model.predict_on_batch(batch))[:count]


def _padded(count: int) -> int:
    """Return the batch size that `count` pictures are padded to, so that few sizes are ever compiled."""
    return -(-count // 8) * 8 if count > 8 else 1 << (count - 1).bit_length()


def build_encoder(config: EncoderConfig, precision: str = "float32") -> Encoder:
    """Build an encoder and load its weights.

    Raises:
        ConfigError: an unknown backbone, layer or precision, or a layer that gives neither vectors nor a grid.
        DataError: its weights cannot be had.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision {precision!r} is unknown; known: {', '.join(get_args(Precision))}")
    backbone = find_backbone(config.backbone)
    trunk = load_trunk(config.backbone, config.layer, config.weights)
    digest = weights_digest(trunk)  # before the cast: precision is no part of the identity
    layer = "pool" if config.layer == "pool" else trunk.layers[-1].name
    if precision != "float32":
        trunk = _cast(trunk, precision)
    pictures = keras.Input((*backbone.input_size, 3), dtype="uint8")  # (batch, height, width, 3)
    prepared = PREPROCESSING[backbone.preprocessing](ops.cast(pictures, "float32"))
    features = ops.cast(trunk(prepared, training=False), "float32")
    if len(features.shape) == 4:  # (batch, rows, columns, channels)
        _, rows, columns, channels = features.shape
        features = ops.reshape(features, (-1, rows * columns, channels))  # (batch, regions, channels)
        if layer == "pool":
            features = ops.mean(features, axis=1)  # (batch, channels)
    elif len(features.shape) != 2:
        raise ConfigError(
            f"layer {layer!r} of {config.backbone} gives {features.shape[1:]}, neither a vector nor a grid"
        )
    description = {
        "backbone": config.backbone,
        "layer": layer,
        "input_size": list(backbone.input_size),
        "resizing": config.resizing,
        "filter": config.filter,
        "preprocessing": backbone.preprocessing,
        "weights": digest,
        "precision": precision,
        "feature_shape": list(features.shape[1:]),
        "source": config.weights,
    }
    return Encoder(keras.Model(pictures, features), description)


def _cast(model: keras.Model, precision: str) -> keras.Model:
    def clone(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": precision})

    narrow = keras.models.clone_model(model, clone_function=clone)
    narrow.set_weights(model.get_weights())
    return narrow


def encoder_from_description(
    description: Mapping[str, Any], precision: str = "float32", weights: str | None = None
) -> Encoder:
    """Build the encoder that `description` describes.

    Args:
        description: an Encoder's, as manifests keep it.
        precision: `float32` or `bfloat16`, whatever the description's was.
        weights: where to take the weights from, when not from where the description's came.

    Raises:
        DataError: it is no description, or the weights found (or anything else) differ from it.
    """
    if missing := [key for key in IDENTITY if key not in description]:
        raise DataError(f"the encoder's description lacks {', '.join(missing)}; make the features anew")
    settings = {key: description[key] for key in ("backbone", "layer", "resizing", "filter")}
    source = weights or description.get("source", "imagenet")
    try:
        encoder = build_encoder(build(EncoderConfig, {**settings, "weights": source}), precision)
    except ConfigError as error:
        raise DataError(f"the encoder's description cannot be followed: {error}") from None
    if found := differences(description, encoder.description):
        raise DataError(f"the encoder built from {source!r} is not the one described: {'; '.join(found)}")
    return encoder


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return in what two encoders' descriptions differ, a line each (`layer: pool against block5_pool`).

    Only what makes an encoder what it is counts: an empty list means that features of one fit those of the other.
    """
    return [
        f"{key}: {_show(a.get(key))} against {_show(b.get(key))}"
        for key in IDENTITY
        if _show(a.get(key)) != _show(b.get(key))
    ]


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    # 12 digits of a digest tell two apart, and two whole ones fill a line.
    return "nothing" if value is None else str(value)[:12] if len(str(value)) == 64 else str(value)
