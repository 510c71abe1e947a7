"""Folds batch normalizations into the convolutions before them: the result is the same, with less computation.

In inference a batch normalization scales and shifts each channel by constants, which can be included in the
convolution's kernel and bias: `kernel * s` and `(bias - mean) * s + beta` with `s = gamma / sqrt(variance + epsilon)`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import layers

from captioner.encoders.trunk import copy_weights, set_weights

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


def fold_normalizations(model: keras.Model) -> keras.Model:
    """Return a functional model that computes what `model` does, without the normalizations that can be folded."""
    followers = _foldable(model)  # convolution -> its batch normalization
    if not followers:
        return model
    dropped = {normalization.name for normalization in followers.values()}

    def clone(layer: keras.Layer) -> keras.Layer:
        biased = {"use_bias": True} if layer.name in followers else {}
        return type(layer).from_config({**layer.get_config(), **biased})

    def call(layer: keras.Layer, *arguments: Any, **keywords: Any) -> Any:
        return arguments[0] if layer.name in dropped else layer(*arguments, **keywords)

    folded = keras.models.clone_model(model, clone_function=clone, call_function=call)
    copy_weights(model, folded, except_for=followers)
    for name, normalization in followers.items():
        set_weights(folded.get_layer(name), _folded(model.get_layer(name), normalization))
    return folded


def _foldable(model: keras.Model) -> dict[str, keras.Layer]:
    """Return convolution's name -> batch normalization, if only the latter uses the convolution's output."""
    makers = {id(layer.output): layer for layer in model.layers if type(layer) in _CONVOLUTIONS}
    uses = Counter(id(tensor) for operation in model.operations for tensor in keras.tree.flatten(operation.input))
    uses.update(id(tensor) for tensor in model.outputs)
    found = {}
    for layer in model.layers:
        if type(layer) is not layers.BatchNormalization or layer.axis not in (-1, 3):
            continue
        maker = makers.get(id(layer.input))
        if maker is not None and uses[id(layer.input)] == 1 and maker.activation is keras.activations.linear:
            found[maker.name] = layer
    return found


def _folded(convolution: keras.Layer, normalization: keras.Layer) -> list[np.ndarray]:
    *others, kernel = [np.asarray(weight, np.float64) for weight in convolution.get_weights()[: _kernels(convolution)]]
    bias = np.asarray(convolution.bias, np.float64) if convolution.use_bias else 0.0  # (channels,)
    gamma = np.asarray(normalization.gamma, np.float64) if normalization.scale else 1.0
    beta = np.asarray(normalization.beta, np.float64) if normalization.center else 0.0
    mean = np.asarray(normalization.moving_mean, np.float64)
    scale = gamma / np.sqrt(np.asarray(normalization.moving_variance, np.float64) + normalization.epsilon)
    # (height, width, inputs, channels), but (height, width, channels, multiplier) for a depthwise convolution
    kernel = kernel * (scale.reshape(kernel.shape[2:]) if type(convolution) is layers.DepthwiseConv2D else scale)
    return [np.asarray(weight, np.float32) for weight in (*others, kernel, (bias - mean) * scale + beta)]


def _kernels(convolution: keras.Layer) -> int:
    return 2 if type(convolution) is layers.SeparableConv2D else 1
