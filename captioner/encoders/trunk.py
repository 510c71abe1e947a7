"""Trunks: networks cut off at the requested layers, and names of layers that are the same in every process."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops

RANDOM_SEED = 0

Tensor = Any


@dataclass(frozen=True)
class NetworkHead:
    """Turns one output of a trunk into features.

    Attributes:
        layer: its name in the encoder's description.
        digest: the SHA-256 over the weights that the features depend on.
        finish: turns the output, in float32, into (batch, channels) or (batch, regions, channels).
    """

    layer: str
    digest: str
    finish: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Trunk:
    """A network up to one or more layers.

    Attributes:
        model: preprocessed pictures (batch, height, width, 3) -> a list with one output per head.
        heads: one head per layer.
        preprocessing: the preprocessing as named in the encoder's description.
        preprocess: (batch, height, width, 3) float32 in 0..255, RGB -> the network's input range.
        rebuild: builds the model in another precision, with the same weights.
    """

    model: keras.Model
    heads: tuple[NetworkHead, ...]
    preprocessing: str
    preprocess: Callable[[Tensor], Tensor]
    rebuild: Callable[[keras.Model, str], keras.Model]

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return tuple(self.model.inputs[0].shape[1:3])

    def in_precision(self, precision: str) -> Trunk:
        """Return the same trunk with weights and activations of another type, such as `bfloat16`."""
        return replace(self, model=self.rebuild(self.model, precision))


def clone_in(model: keras.Model, precision: str) -> keras.Model:
    """Return a copy of a functional model whose layers compute in `precision`."""

    def clone(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": precision})

    narrow = keras.models.clone_model(model, clone_function=clone)
    copy_weights(model, narrow)
    return narrow


def as_list(outputs: Any) -> list[Tensor]:
    """Return a model's outputs as a list; Keras does not wrap a single output."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def copy_weights(source: keras.Model, clone: keras.Model, except_for: Collection[str] = ()) -> None:
    """Copy weights to the clone's layers of the same name."""
    originals = {layer.name: layer for layer in source.layers}
    for layer in clone.layers:
        if layer.weights and layer.name not in except_for:
            set_weights(layer, originals[layer.name].get_weights())


def set_weights(layer: keras.Layer, weights: Sequence[np.ndarray]) -> None:
    """Set a layer's weights, and the values derived from them."""
    layer.set_weights(list(weights))
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()  # it computes with a copy


def stable_names(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the layers by names that are the same in every process.

    Keras numbers unnamed layers per process (`activation_187`); here they are numbered per network.
    """
    seen: Counter[str] = Counter()
    names: dict[str, keras.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        name = layer.name
        stem = re.sub(r"_\d+\Z", "", name)
        if stem.replace("_", "") == type(layer).__name__.lower():
            name = f"{stem}_{seen[stem]}" if seen[stem] else stem
            seen[stem] += 1
        names[name] = layer
    return names


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 over the names, shapes and float32 bytes of a model's weights, in order."""
    digest = hashlib.sha256()
    for variable in model.weights:
        value = np.ascontiguousarray(ops.convert_to_numpy(variable), dtype="<f4")
        # not the path, since unnamed layers are numbered per process
        digest.update(f"{variable.name} {value.shape} ".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def randomize(model: keras.Model) -> None:
    """Give a network fixed random weights with which its activations neither vanish nor explode."""
    for name, layer in stable_names(model).items():
        for index, variable in enumerate(layer.trainable_weights):
            generator = np.random.default_rng([RANDOM_SEED, zlib.crc32(name.encode()), index])
            if len(variable.shape) > 1:
                outputs = variable.shape[-1] if variable.shape[-1] > 1 else variable.shape[-2]  # the latter: depthwise
                spread = np.sqrt(2 * outputs / np.prod(variable.shape))
            elif np.ptp(ops.convert_to_numpy(variable)) > 0:  # most biases and normalizations begin at zeros and ones
                spread = 0.02
            else:
                continue
            variable.assign(generator.standard_normal(variable.shape, dtype=np.float32) * np.float32(spread))
