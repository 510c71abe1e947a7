"""The `extraction` section of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from captioner.config import ConfigError
from captioner.features.numbers import Storage
from captioner.images.decode import allowed_pixels


@dataclass(frozen=True)
class ExtractionConfig:
    """How features are extracted; what they are is the encoder's business.

    Attributes:
        batch_size: pictures that go through the network together; `auto` takes the fastest that is found.
        threads: that decode pictures meanwhile; `auto` takes one a core.
        precision: `auto` takes the faster of float32 and bfloat16, the latter only where its features agree.
        dtype: of the numbers in a `.h5` file; a `.pkl` file holds float32.
        max_pixels: a picture that claims more is refused before it is decoded.
        engine: `local`, or `ray` for a cluster.
        address: of the Ray cluster; without one, Ray is started on this machine.
        workers: models on the cluster; `auto` takes one a GPU or, where there is none, one a node.
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
            raise ConfigError(f"address: {self.address!r} is a Ray cluster's; set engine to ray, or leave it out")
