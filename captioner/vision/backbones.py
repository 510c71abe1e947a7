"""The pretrained networks that pictures can go through, and where their weights come from. One row per network."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import ConfigError
from captioner.storage import DataError
from captioner.vision.efficientnet_lite import efficientnet_lite

WEIGHTS_FOLDER = "CAPTIONER_WEIGHTS"
RANDOM_SEED = 0


@dataclass(frozen=True)
class Backbone:
    """A network, as `keras.applications` has them.

    Attributes:
        build: takes `include_top`, `weights` (None or "imagenet") and `input_shape`, and returns the keras.Model.
        input_size: (height, width) in pixels.
        preprocessing: a key of `PREPROCESSING`.
        files: the names of Keras' weights files, without and with the top; None where `build` reads no such file.
    """

    build: Callable[..., keras.Model]
    input_size: tuple[int, int]
    preprocessing: str
    files: tuple[str, str] | None


def _keras_files(name: str) -> tuple[str, str]:
    stem = f"{name}_weights_tf_dim_ordering_tf_kernels"
    return f"{stem}_notop.h5", f"{stem}.h5"


BACKBONES: dict[str, Backbone] = {
    "vgg16": Backbone(keras.applications.VGG16, (224, 224), "caffe", _keras_files("vgg16")),
    "vgg19": Backbone(keras.applications.VGG19, (224, 224), "caffe", _keras_files("vgg19")),
    "resnet50": Backbone(keras.applications.ResNet50, (224, 224), "caffe", _keras_files("resnet50")),
    "inception_v3": Backbone(keras.applications.InceptionV3, (299, 299), "tf", _keras_files("inception_v3")),
    "xception": Backbone(keras.applications.Xception, (299, 299), "tf", _keras_files("xception")),
    "densenet121": Backbone(keras.applications.DenseNet121, (224, 224), "torch", _keras_files("densenet121")),
    "efficientnet_b0": Backbone(
        keras.applications.EfficientNetB0, (224, 224), "raw", ("efficientnetb0_notop.h5", "efficientnetb0.h5")
    ),
    "efficientnet_lite0": Backbone(efficientnet_lite(0), (224, 224), "lite", None),
    "efficientnet_lite1": Backbone(efficientnet_lite(1), (240, 240), "lite", None),
    "efficientnet_lite2": Backbone(efficientnet_lite(2), (260, 260), "lite", None),
}

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


def find_backbone(name: str) -> Backbone:
    """Return the row called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in BACKBONES:
        near = get_close_matches(name, BACKBONES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(BACKBONES)}"
        raise ConfigError(f"backbone {name!r} is unknown; {hint}")
    return BACKBONES[name]


def load_trunk(name: str, layer: str, weights: str) -> keras.Model:
    """Return the network `name` up to `layer`, with its weights, in float32.

    Args:
        name: a key of `BACKBONES`.
        layer: the name of an inner layer; `grid` and `pool` mean the last one that has height and width.
        weights: `imagenet` (the folder named by CAPTIONER_WEIGHTS, then Keras' cache, then a download), `random`
            (seeded), or the path of a weights file.

    Raises:
        ConfigError: there is no such network or layer.
        DataError: the weights are missing, cannot be downloaded, or do not fit.
    """
    backbone = find_backbone(name)
    network = _build(backbone, include_top=False)
    layer = network.layers[-1].name if layer in ("grid", "pool") else layer
    needs_top = layer not in _names(network)
    if needs_top:
        network = _build(backbone, include_top=True)
        if layer not in (known := _names(network)):
            near = ", ".join(get_close_matches(layer, known, n=3, cutoff=0.4)) or f"pool, grid, {known[-2]}"
            raise ConfigError(f"layer {layer!r} is not in {name}; near it: {near}")
    if weights == "random":
        trunk = _up_to(network, layer)
        _randomize(trunk)
        return trunk
    if weights != "imagenet":
        return _up_to(_load_file(network, backbone, needs_top, layer, Path(weights)), layer)
    if path := _find_file(backbone, needs_top):
        return _up_to(_load_file(network, backbone, needs_top, layer, path), layer)
    return _up_to(_download(backbone, needs_top, layer), layer)


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 over the names, shapes and float32 bytes of a model's weights, in their order."""
    digest = hashlib.sha256()
    for variable in model.weights:
        value = np.ascontiguousarray(ops.convert_to_numpy(variable), dtype="<f4")
        # not the path: layers without a name of their own are numbered through the whole process
        digest.update(f"{variable.name} {value.shape} ".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _build(backbone: Backbone, include_top: bool, weights: str | None = None) -> keras.Model:
    return backbone.build(include_top=include_top, weights=weights, input_shape=(*backbone.input_size, 3))


def _names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers[1:]]


def _up_to(model: keras.Model, layer: str) -> keras.Model:
    return keras.Model(model.input, model.get_layer(layer).output)


def _randomize(model: keras.Model) -> None:
    generator = np.random.default_rng(RANDOM_SEED)
    for variable in model.trainable_weights:
        if len(variable.shape) > 1:  # biases and normalisations begin at zeros and ones
            outputs = variable.shape[-1] if variable.shape[-1] > 1 else variable.shape[-2]  # the latter: depthwise
            fan_in = np.prod(variable.shape) / outputs
            values = generator.standard_normal(variable.shape, dtype=np.float32)
            variable.assign(values * np.float32(np.sqrt(2 / fan_in)))


def _load_file(network: keras.Model, backbone: Backbone, needs_top: bool, layer: str, path: Path) -> keras.Model:
    if not path.is_file():
        raise DataError(f"{path}: no such weights file; name one, or `imagenet`")
    try:
        network.load_weights(path)
        return network
    except Exception as error:  # h5py and Keras raise nearly anything on a file of another network
        reason = " ".join(str(error).split())[:160]
    if not needs_top:
        with contextlib.suppress(Exception):  # a file with the top has all that is needed
            whole = _build(backbone, include_top=True)
            whole.load_weights(path)
            return whole
    missing = f" up to {layer!r}, which stands in the dense top (a `notop` file has none)" if needs_top else ""
    raise DataError(f"{path}: not the weights of {network.name}{missing} ({reason})")


def _find_file(backbone: Backbone, needs_top: bool) -> Path | None:
    folder = os.environ.get(WEIGHTS_FOLDER)
    if not folder or backbone.files is None:
        return None
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder, though {WEIGHTS_FOLDER} names it; make it or unset the variable")
    usable = backbone.files[1:] if needs_top else backbone.files
    return next((path for file in usable if (path := Path(folder, file)).is_file()), None)


def _download(backbone: Backbone, needs_top: bool, layer: str) -> keras.Model:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras shows its progress on stdout, which is for captions
            return _build(backbone, needs_top, "imagenet")
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        file = backbone.files[needs_top] if backbone.files else "the weights"
        top = f" ({layer!r} stands in the dense top; `pool` and `grid` do without it)" if needs_top else ""
        raise DataError(
            f"{file}: cannot be downloaded ({reason}); put it into a folder and name that folder in "
            f"{WEIGHTS_FOLDER}{top}"
        ) from error
