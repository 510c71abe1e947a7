"""KerasHub's vision transformers as trunks: their patch tokens are the grid, their pooled vector is the pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import keras
from keras import ops

from captioner.config import ConfigError
from captioner.encoders.trunk import NetworkHead, Tensor, Trunk, randomize, stable_names, weights_digest
from captioner.hub_presets import HUB, explained, import_keras_hub
from captioner.storage import DataError


@dataclass(frozen=True)
class Family:
    """How one kind of KerasHub backbone encodes pictures.

    Attributes:
        tower: returns the model of the picture, which may be only a part of the backbone.
        tokens: returns the tower's last tokens (batch, tokens, channels).
        pooled: returns the vector (batch, channels) that the family uses for comparison or classification.
    """

    tower: Callable[[Any], keras.Model]
    tokens: Callable[[Any], Tensor]
    pooled: Callable[[Any, Any], Tensor]


def _first_token(_: Any, tower: Any) -> Tensor:
    return tower.output[:, 0]


def _clip_embedding(backbone: Any, tower: Any) -> Tensor:
    return backbone.vision_projection(backbone.vision_pooler(tower.output))


def _vit_pooled(_: Any, tower: Any) -> Tensor:
    return tower.output[:, 0] if tower.use_class_token else ops.mean(tower.output, axis=1)


_DINO = Family(
    tower=lambda backbone: backbone,
    tokens=lambda tower: tower.output,
    pooled=_first_token,
)

FAMILIES: dict[str, Family] = {
    "CLIPBackbone": Family(
        tower=lambda backbone: backbone.vision_encoder,
        tokens=lambda tower: tower.output,
        pooled=_clip_embedding,
    ),
    "SigLIPBackbone": Family(
        tower=lambda backbone: backbone.vision_encoder,
        tokens=lambda tower: tower.post_layer_norm.output,
        pooled=lambda _, tower: tower.output,
    ),
    "DINOV2Backbone": _DINO,
    "DINOV3Backbone": _DINO,
    "ViTBackbone": Family(
        tower=lambda backbone: backbone,
        tokens=lambda tower: tower.output,
        pooled=_vit_pooled,
    ),
}


def load_hub_trunk(preset: str, layers: Sequence[str], weights: str) -> Trunk:
    """Return the vision side of a KerasHub backbone up to `layers`, in float32.

    Args:
        preset: any argument of KerasHub's `from_preset`: a preset's name, a handle such as `hf://...`, or a folder.
        layers: `pool`, `grid`, or inner layers of tokens; tokens before those of the patches are left out.
        weights: `imagenet` (the preset's own), `random` (seeded), or the path of a weights file of the backbone.

    Raises:
        ConfigError: there is no such preset or layer, or the backbone's family is not in `FAMILIES`.
        DataError: KerasHub is not installed, or the preset is not available.
    """
    backbone = _load_family(preset, load_weights=weights == "imagenet")
    scale, offset = _load_scaling(preset)
    tower = FAMILIES[type(backbone).__name__].tower(backbone)
    if weights not in ("imagenet", "random"):
        _load_weights(backbone, weights)
    if weights == "random":
        randomize(tower)
    model = _cut(backbone, preset, layers)
    patches = _patches(tower)
    heads = []
    for layer, output in zip(layers, model.outputs, strict=True):
        digest = weights_digest(keras.Model(model.inputs[0], output))
        heads.append(NetworkHead(layer, digest, _as_it_is if len(output.shape) == 2 else _last(patches)))

    def rebuild(model: keras.Model, precision: str) -> keras.Model:
        other = _cut(type(backbone).from_config(_in_dtype(backbone.get_config(), precision)), preset, layers)
        other.set_weights(model.get_weights())
        return other

    return Trunk(model, tuple(heads), f"x * {scale} + {offset}", _scaling(scale, offset), rebuild)


def _cut(backbone: Any, preset: str, layers: Sequence[str]) -> keras.Model:
    """Return the model from preprocessed pictures to the layers' outputs."""
    tower = FAMILIES[type(backbone).__name__].tower(backbone)
    return keras.Model(tower.inputs[0], [_output(backbone, preset, layer) for layer in layers])


def _in_dtype(config: Any, dtype: str) -> Any:
    """Return a configuration with the dtype of all its parts replaced, recursively."""
    if isinstance(config, dict):
        return {key: dtype if key == "dtype" else _in_dtype(value, dtype) for key, value in config.items()}
    return config


def _patches(tower: Any) -> int:
    high, wide = (tower.patch_size,) * 2 if isinstance(tower.patch_size, int) else tower.patch_size
    return (tower.inputs[0].shape[1] // high) * (tower.inputs[0].shape[2] // wide)


def _load_family(preset: str, load_weights: bool) -> Any:
    hub = import_keras_hub(preset)
    with explained(preset, _presets(hub)):
        backbone = hub.models.Backbone.from_preset(preset, load_weights=load_weights)
    kind = type(backbone).__name__
    if kind not in FAMILIES:
        raise ConfigError(f"{HUB}{preset}: is a {kind}; these can encode pictures: {', '.join(FAMILIES)}")
    return backbone


def _load_scaling(preset: str) -> tuple[Any, Any]:
    """Return the scale and the offset of pictures, each a number or one per channel."""
    hub = import_keras_hub(preset)
    with explained(preset, _presets(hub)):
        converter = hub.layers.ImageConverter.from_preset(preset)
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return _plain(scale), _plain(offset)


def _plain(value: Any) -> Any:
    return [float(part) for part in value] if isinstance(value, list | tuple) else float(value)


def _scaling(scale: Any, offset: Any) -> Callable[[Tensor], Tensor]:
    return lambda pictures: (
        pictures * ops.convert_to_tensor(scale, "float32") + ops.convert_to_tensor(offset, "float32")
    )


def _presets(hub: Any) -> list[str]:
    return [name for kind in FAMILIES for name in getattr(hub.models, kind).presets]


def _load_weights(backbone: Any, path: str) -> None:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such weights file; name one, or `imagenet` for the preset's own")
    try:
        backbone.load_weights(path)
    except Exception as error:  # h5py and Keras raise nearly anything on a file of another network
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{path}: not the weights of {type(backbone).__name__} ({reason})") from error


def _output(backbone: Any, preset: str, layer: str) -> Tensor:
    family = FAMILIES[type(backbone).__name__]
    tower = family.tower(backbone)
    if layer == "pool":
        return family.pooled(backbone, tower)
    if layer == "grid":
        return family.tokens(tower)
    known = _token_layers(tower)
    if layer not in known:
        near = ", ".join(get_close_matches(layer, known, n=3, cutoff=0.4) or list(known)[-3:])
        raise ConfigError(
            f"layer {layer!r} is not among the token layers of {HUB}{preset}; near it: pool, grid, {near}"
        )
    return known[layer]


def _token_layers(tower: Any) -> dict[str, Tensor]:
    outputs = {name.removeprefix(f"{tower.name}_"): layer.output for name, layer in stable_names(tower).items()}
    return {name: output for name, output in outputs.items() if len(getattr(output, "shape", ())) == 3}


def hub_layers(preset: str) -> dict[str, tuple[int, ...]]:
    """Return the inner layers of tokens of a KerasHub backbone, and the shape of their features.

    Raises:
        ConfigError, DataError: see `load_hub_trunk`.
    """
    backbone = _load_family(preset, load_weights=False)
    tower = FAMILIES[type(backbone).__name__].tower(backbone)
    return {name: (_patches(tower), output.shape[-1]) for name, output in _token_layers(tower).items()}


def _as_it_is(pooled: Tensor) -> Tensor:
    return pooled


def _last(count: int) -> Callable[[Tensor], Tensor]:
    """Return a function that keeps the patches' tokens; class and register tokens come before them."""
    return lambda tokens: tokens[:, -count:]  # (batch, patches, channels), row by row
