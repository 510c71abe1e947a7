"""The `encoder` section of a recipe, and the comparison of encoders. Neither needs Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from captioner.config import ConfigError, build
from captioner.encoders.table import BACKBONES, canonical_name, default_backbone
from captioner.hub_presets import HUB
from captioner.images.decode import Filter, Resizing
from captioner.images.views import View

Precision = Literal["float32", "bfloat16"]

IDENTITY = ("backbone", "layer", "input_size", "resizing", "filter", "preprocessing", "weights", "view")
OPTIONAL = ("view",)  # a description without it is of whole pictures
SMALLEST = 32  # pixels: networks halve a picture five times
LARGEST = 2048


@dataclass(frozen=True)
class EncoderConfig:
    """The `encoder` section of a recipe.

    Attributes:
        backbone: a name that `captioner encoders` lists, or `hub:` and a preset of KerasHub; by default
            EfficientNet-Lite2 if the `lite` extra is installed, or else VGG16.
        layer: `pool` (the mean over the last grid), `grid` (the last grid itself), or the name of an inner layer.
        weights: `imagenet` (a hub preset's own), `random` (seeded, for tests), or the path of a weights file.
        resizing: how a picture is resized to the input size, see `captioner.images.decode.resize`.
        filter: the interpolation filter for resizing.
        view: the view of each picture that is encoded: `whole`, mirrored (`flip`), a random `crop`, or both; see
            `captioner.images.views`. Views other than `whole` are for training only (`train.views`).
        trained_to: a later layer; the layers after `layer` up to it are trained with the decoder. None trains none.
        input_size: height and width in pixels to which pictures are resized; None for the size that the network was
            trained on. Larger pictures give more regions and take longer. Only for networks of the table.
    """

    backbone: str = field(default_factory=default_backbone)
    layer: str = "pool"
    weights: str = "imagenet"
    resizing: Resizing = "whole"
    filter: Filter = "bicubic"
    view: View = "whole"
    trained_to: str | None = None
    input_size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "backbone", canonical_name(self.backbone))
        if self.input_size is None:
            return
        if self.backbone.startswith(HUB):
            raise ConfigError(f"input_size: {self.backbone} has a size of its own; leave input_size out")
        if not SMALLEST <= self.input_size <= LARGEST:
            raise ConfigError(f"input_size: must be {SMALLEST} to {LARGEST} pixels, found {self.input_size}")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of resized pictures in pixels; None if it depends on a preset of KerasHub."""
        if self.input_size is not None:
            return self.input_size, self.input_size
        return BACKBONES[self.backbone].input_size if self.backbone in BACKBONES else None


def config_of(description: Mapping[str, Any], weights: str | None = None) -> EncoderConfig:
    """Return the `encoder` section whose encoder has `description`.

    Args:
        description: an Encoder's description, as in manifests.
        weights: the source of the weights, if it differs from the description's.

    Raises:
        ConfigError: the encoder that it describes cannot be built.
    """
    settings = {key: description[key] for key in ("backbone", "layer", "resizing", "filter")}
    settings |= {"view": description.get("view", "whole"), "weights": weights or description.get("source", "imagenet")}
    config = build(EncoderConfig, settings)
    size = description["input_size"]
    if config.size is None or size == list(config.size):
        return config
    if not isinstance(size, list | tuple) or len(size) != 2 or size[0] != size[1]:
        raise ConfigError(f"input_size: must be square, found {_show(size)}")
    return build(EncoderConfig, {**settings, "input_size": size[0]})


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return the differences of two encoders' descriptions, one line each (`layer: pool against block5_pool`).

    Only properties that change the features count: an empty list means that the features of both are compatible.
    """
    return [
        f"{key}: {_show(a.get(key))} against {_show(b.get(key))}"
        for key in IDENTITY
        if _show(a.get(key)) != _show(b.get(key))
    ]


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    # 12 digits are enough to distinguish two digests; two full ones would fill a line.
    return "nothing" if value is None else str(value)[:12] if len(str(value)) == 64 else str(value)
