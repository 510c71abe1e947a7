"""The `encoder` section of a recipe, and what makes two encoders the same. Neither needs Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from captioner.encoders.table import canonical_name, default_backbone
from captioner.images.decode import Filter, Resizing
from captioner.images.views import View

Precision = Literal["float32", "bfloat16"]

IDENTITY = ("backbone", "layer", "input_size", "resizing", "filter", "preprocessing", "weights", "view")
OPTIONAL = ("view",)  # a description without it is of whole pictures


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
    """

    backbone: str = field(default_factory=default_backbone)
    layer: str = "pool"
    weights: str = "imagenet"
    resizing: Resizing = "whole"
    filter: Filter = "bicubic"
    view: View = "whole"
    trained_to: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "backbone", canonical_name(self.backbone))


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
