"""The layers of the table's encoders without Keras, from `layers.json.gz`, which `scripts/make_layers.py` writes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from captioner.config import ConfigError
from captioner.encoders.table import canonical_name

FILE = "layers.json.gz"
LAST_MAP = ("pool", "grid")  # names for the last grid in every encoder


def keras_release() -> str:
    """Return the installed release of Keras, such as `3.15` for `3.15.1`; other releases may have other layer names."""
    return ".".join(version("keras").split(".")[:2])


def known_layers(name: str) -> dict[str, tuple[int, ...]] | None:
    """Return an encoder's layers and the shapes of their features, from first to last.

    None if only the network can tell: for a preset of KerasHub, or another release of Keras than the file's.

    Raises:
        ConfigError: there is no such encoder.
    """
    table, name = _table(), canonical_name(name)
    if table["keras"] != keras_release() or name not in table["layers"]:
        return None
    return {layer: tuple(shape) for layer, shape in table["layers"][name].items()}


def require_layers(name: str, layers: Sequence[str]) -> None:
    """Raise an error for layers that an encoder lacks, as far as this is known without Keras.

    Raises:
        ConfigError: there is no such encoder or layer.
    """
    known = known_layers(name)
    for layer in layers:
        if known is not None and layer not in known and layer not in LAST_MAP:
            raise unknown_layer(layer, canonical_name(name), list(known))


def unknown_layer(layer: str, name: str, known: Sequence[str]) -> ConfigError:
    """Return the error for a layer that is not among the `known` layers of an encoder."""
    near = ", ".join(get_close_matches(layer, known, n=3, cutoff=0.4)) or f"pool, grid, {known[-1]}"
    return ConfigError(f"layer {layer!r} is not in {name}; near it: {near} (`captioner encoders {name}` lists them)")


@cache
def _table() -> dict[str, Any]:
    return json.loads(gzip.decompress((files("captioner.encoders") / FILE).read_bytes()))
