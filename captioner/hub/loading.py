"""Load a KerasHub preset as a captioner."""

from __future__ import annotations

import os
from typing import Any

from captioner.config import ConfigError
from captioner.hub.families import FAMILIES, without_warnings
from captioner.hub.hub_captioner import HubCaptioner
from captioner.hub.names import preset_of, require_hub
from captioner.hub_presets import HUB, explained, import_keras_hub
from captioner.storage import DataError


def load_hub(name: str | os.PathLike[str], precision: str | None = None) -> HubCaptioner:
    """Load a KerasHub image-to-text model.

    Args:
        name: `hub:` with a preset's name, a handle such as `hf://...`, or a preset's folder.
        precision: `float32` or `bfloat16`; None for KerasHub's default.

    Raises:
        ConfigError: the preset does not exist, or its kind of model does not caption pictures.
        DataError: KerasHub is not installed, the preset cannot be loaded, or downloading it is not allowed.
    """
    require_hub(name)
    preset = preset_of(name)
    hub = import_keras_hub(preset)
    known = {kind: getattr(hub.models, kind) for kind in FAMILIES if hasattr(hub.models, kind)}
    names = [each for kind in known.values() for each in kind.presets]
    with explained(preset, names):
        kind = _kind_of(preset)
    if kind not in known:
        raise ConfigError(f"{HUB}{preset}: is a {kind}; models that caption pictures: {', '.join(known)}")
    with explained(preset, names), without_warnings():
        task = known[kind].from_preset(preset, **({} if precision is None else {"dtype": precision}))
    converter = getattr(task.preprocessor, "image_converter", None)
    if converter is None or converter.image_size is None:
        raise DataError(
            f"{HUB}{preset}: does not accept pictures, because its preprocessor has no image converter with a size; "
            "name another preset"
        )
    return HubCaptioner(hub, task, FAMILIES[kind], preset)


def _kind_of(preset: str) -> str:
    """Return the name of a preset's task, or of its backbone for other kinds of presets."""
    from keras_hub.src.utils.preset_utils import get_preset_loader  # the public functions would create the weights

    loader = get_preset_loader(preset)
    backbone = loader.check_backbone_class().__name__
    if backbone == "BLIP2Backbone":
        return "BLIP2Seq2SeqLM" if "T5" in _language_model(loader.config) else "BLIP2CausalLM"
    task = backbone.removesuffix("Backbone") + "CausalLM"
    return task if task in FAMILIES else backbone


def _language_model(config: Any) -> str:
    return str(config.get("config", {}).get("language_model", {}).get("class_name", ""))
