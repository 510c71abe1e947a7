"""Builds the classifiers of the table as trunks, cut off at layers, and finds their weights."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import ConfigError
from captioner.encoders.layers import LAST_MAP, unknown_layer
from captioner.encoders.table import WEIGHTS_FOLDER, Backbone, find_backbone
from captioner.encoders.trunk import (
    NetworkHead,
    Tensor,
    Trunk,
    clone_in,
    randomize,
    set_weights,
    stable_names,
    weights_digest,
)
from captioner.storage import DataError

_CAFFE_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
_TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_TORCH_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)

# (batch, height, width, 3) float32 in 0..255, RGB -> what the network was trained on; the first three are
# keras.applications' modes
PREPROCESSING: dict[str, Callable[[Any], Any]] = {
    "caffe": lambda pictures: ops.flip(pictures, axis=-1) - _CAFFE_MEAN,
    "tf": lambda pictures: pictures / 127.5 - 1.0,
    "torch": lambda pictures: (pictures / 255.0 - _TORCH_MEAN) / _TORCH_DEVIATION,
    "raw": lambda pictures: pictures,
    "lite": lambda pictures: (pictures - 127.0) / 128.0,
}


def load_trunk(name: str, layers: Sequence[str], weights: str, size: tuple[int, int] | None = None) -> Trunk:
    """Return the network `name` up to `layers`, with its weights, in float32.

    Args:
        name: a key of `captioner.encoders.table.BACKBONES`.
        layers: the names of inner layers; `grid` is the last layer with height and width, `pool` the mean over it.
        weights: `imagenet` (the folder named by CAPTIONER_WEIGHTS, then Keras' cache, then a download), `random`
            (seeded), or the path of a weights file.
        size: (height, width) of the pictures in pixels; the network's default if None.

    Raises:
        ConfigError: there is no such network or layer, a layer gives neither vectors nor a grid, or the network does
            not take pictures of that size.
        DataError: the weights are missing, cannot be downloaded, or do not fit.
    """
    backbone = find_backbone(name)
    own = backbone.input_size
    if size is not None:
        backbone = replace(backbone, input_size=size)
    network = _without_top(name, backbone)
    last = list(stable_names(network))[-1]
    wanted = [last if layer in LAST_MAP else layer for layer in layers]
    needs_top = next((layer for layer in wanted if layer not in stable_names(network)), None)
    if needs_top is not None:
        if backbone.input_size != own:
            whole = stable_names(_build(find_backbone(name), include_top=True))
            _check_layers(name, layers, wanted, whole)
            raise ConfigError(f"input_size: layer {needs_top!r} of {name} needs pictures of {own[0]} pixels")
        network = _build(backbone, include_top=True)
        _check_layers(name, layers, wanted, stable_names(network))
    _set_weights(network, backbone, needs_top, weights)
    known = stable_names(network)
    outputs, heads = [], []
    for layer, inner in zip(layers, wanted, strict=True):
        output, finish = _end(known[inner], averaged=layer == "pool")
        outputs.append(output)
        digest = weights_digest(keras.Model(network.inputs, known[inner].output))
        heads.append(NetworkHead("pool" if layer == "pool" else inner, digest, finish))
        if finish is regions and len(output.shape) not in (2, 4):
            raise ConfigError(f"layer {layer!r} of {name} gives {output.shape[1:]}, neither a vector nor a grid")
    model = keras.Model(network.inputs[0], outputs)
    preprocess = PREPROCESSING[backbone.preprocessing]
    return Trunk(model, tuple(heads), backbone.preprocessing, preprocess, clone_in)


def _without_top(name: str, backbone: Backbone) -> keras.Model:
    try:
        return _build(backbone, include_top=False)
    except ValueError as error:  # each network of keras.applications has its own smallest size
        raise ConfigError(f"input_size: {name} refuses {backbone.input_size[0]} pixels ({error})") from None


def _check_layers(name: str, layers: Sequence[str], wanted: Sequence[str], known: Mapping[str, keras.Layer]) -> None:
    for layer, inner in zip(layers, wanted, strict=True):
        if inner not in known:
            raise unknown_layer(layer, name, list(known))
        if layer in LAST_MAP and len(known[inner].output.shape) != 4:
            raise ConfigError(
                f"{name}: {layer} cannot be computed in one pass with layers of the dense top; extract it alone"
            )


def _end(layer: keras.Layer, averaged: bool) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the output tensor for a layer, and the function that turns it into features."""
    if not averaged:
        return layer.output, regions
    if not isinstance(layer, keras.layers.LayerNormalization):
        return layer.output, pooled
    # ConvNeXt normalizes after pooling, not before
    norm = keras.layers.LayerNormalization.from_config(layer.get_config())
    norm.build((None, layer.output.shape[-1]))
    norm.set_weights(layer.get_weights())
    return layer.input, lambda grid: norm(pooled(grid))


def pooled(grid: Tensor) -> Tensor:
    """Return the mean (batch, channels) over a grid (batch, rows, columns, channels)."""
    return ops.mean(regions(grid), axis=1)  # (batch, channels)


def regions(features: Tensor) -> Tensor:
    """Flatten a grid (batch, rows, columns, channels) row by row to (batch, regions, channels); keep a vector."""
    if len(features.shape) == 2:
        return features  # (batch, channels)
    _, rows, columns, channels = features.shape
    return ops.reshape(features, (-1, rows * columns, channels))  # (batch, regions, channels)


def _build(backbone: Backbone, include_top: bool, weights: str | None = None) -> keras.Model:
    return backbone.build(include_top=include_top, weights=weights, input_shape=(*backbone.input_size, 3))


def _set_weights(network: keras.Model, backbone: Backbone, needs_top: str | None, weights: str) -> None:
    if weights == "random":
        randomize(network)
    elif weights != "imagenet":
        _load_file(network, backbone, needs_top, Path(weights))
    elif path := _find_file(backbone, needs_top):
        _load_file(network, backbone, needs_top, path)
    else:
        _copy(_download(backbone, needs_top), network)


def _copy(source: keras.Model, network: keras.Model) -> None:
    sources = stable_names(source)
    for name, layer in stable_names(network).items():
        if layer.weights:
            set_weights(layer, sources[name].get_weights())


def _load_file(network: keras.Model, backbone: Backbone, needs_top: str | None, path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such weights file; name one, or `imagenet`")
    try:
        network.load_weights(path)
        return
    except Exception as error:  # h5py and Keras raise nearly anything on a file of another network
        reason = " ".join(str(error).split())[:160]
    if needs_top is None:
        with contextlib.suppress(Exception):  # a file with the top has all that is needed
            whole = _build(backbone, include_top=True)
            whole.load_weights(path)
            _copy(whole, network)
            return
    missing = f" up to {needs_top!r}, which is in the dense top (a `notop` file has none)" if needs_top else ""
    raise DataError(f"{path}: not the weights of {network.name}{missing} ({reason})")


def _find_file(backbone: Backbone, needs_top: str | None) -> Path | None:
    folder = os.environ.get(WEIGHTS_FOLDER)
    if not folder or backbone.files is None:
        return None
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder, though {WEIGHTS_FOLDER} names it; make it or unset the variable")
    usable = backbone.files[1:] if needs_top else backbone.files
    return next((path for file in usable if (path := Path(folder, file)).is_file()), None)


def _download(backbone: Backbone, needs_top: str | None) -> keras.Model:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras shows its progress on stdout, which is for captions
            return _build(backbone, needs_top is not None, "imagenet")
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        file = backbone.files[needs_top is not None] if backbone.files else "the weights"
        top = f" ({needs_top!r} is in the dense top; `pool` and `grid` do without it)" if needs_top else ""
        raise DataError(
            f"{file}: cannot be downloaded ({reason}); put it into a folder and name that folder in "
            f"{WEIGHTS_FOLDER}{top}"
        ) from error


def inner_layers(name: str) -> dict[str, tuple[int, ...]]:
    """Return the layers of a network that can give features, and the features' shapes, from first to last.

    Raises:
        ConfigError: there is no such network.
    """
    network = _build(find_backbone(name), include_top=True)
    shapes = {layer: tuple(inner.output.shape[1:]) for layer, inner in stable_names(network).items()}
    return {layer: shape for layer, shape in shapes.items() if len(shape) in (1, 3)}
