"""The `extraction` section of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from captioner.config import ConfigError
from captioner.features.numbers import Storage
from captioner.images.decode import allowed_pixels


@dataclass(frozen=True)
class ExtractionConfig:
    """How features are extracted. These settings do not change the features; the encoder does.

    Attributes:
        batch_size: pictures per pass through the network; `auto` measures and chooses the fastest size.
        threads: threads that decode pictures at the same time; `auto` for one per core.
        precision: `auto` chooses the faster of float32 and bfloat16, the latter only if its features agree.
        dtype: type of the numbers in a `.h5` file; a `.pkl` file has float32.
        max_pixels: largest number of pixels; larger pictures are refused before they are decoded.
        engine: `local`, or `ray` for a cluster.
        address: address of the Ray cluster; without one, Ray is started on this machine.
        workers: models on the cluster; `auto` for one per GPU or, without GPUs, one per node.
    """

    batch_size: int | Literal["auto"] = "auto"
    threads: int | Literal["auto"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    dtype: Storage = "float16"
    max_pixels: int = field(default_factory=allowed_pixels)
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    workers: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads", "max_pixels", "workers"):
            value = getattr(self, name)
            if value != "auto" and value < 1:
                raise ConfigError(f"{name}: must be at least 1, found {value}")
        if self.address is not None and self.engine != "ray":
            raise ConfigError(f"address: {self.address!r} is for a Ray cluster; set engine to ray, or leave it out")
