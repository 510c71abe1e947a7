"""The `encoder` section of a recipe, and what makes two encoders the same. Neither needs Keras."""

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
        backbone: a name that `captioner encoders` lists, or `hub:` and a preset of KerasHub; where none is given,
            EfficientNet-Lite2 if the `lite` extra is installed, or else VGG16.
        layer: `pool` (the mean over the last grid), `grid` (the last grid itself), or the name of an inner layer.
        weights: `imagenet` (a hub preset's own), `random` (seeded, for tests), or the path of a weights file.
        resizing: how a picture comes to the input size, see `captioner.images.decode.resize`.
        filter: how pixels are weighed in resizing.
        view: the part of each picture that is encoded: all of it, mirrored (`flip`), a random `crop`, or both; see
            `captioner.images.views`. Views other than `whole` are for training only (`train.views`).
        trained_to: a later layer; those after `layer` up to it are trained together with the decoder. None trains none.
        input_size: height and width in pixels that pictures come to; None for what the network was trained on. Larger
            pictures give more regions and take longer. A network of the table only.
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
        """(height, width) in pixels that pictures come to; None where only a preset of KerasHub can tell."""
        if self.input_size is not None:
            return self.input_size, self.input_size
        return BACKBONES[self.backbone].input_size if self.backbone in BACKBONES else None


def config_of(description: Mapping[str, Any], weights: str | None = None) -> EncoderConfig:
    """Return the `encoder` section whose encoder has `description`.

    Args:
        description: an Encoder's, as manifests keep it.
        weights: where to take the weights from, when not from where the description's came.

    Raises:
        ConfigError: it describes no encoder that can be built.
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
