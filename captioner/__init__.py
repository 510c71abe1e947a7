"""captioner: train, evaluate and serve image-captioning models from one command line.

    import captioner

    model = captioner.load()                    # the built-in captioner
    model = captioner.load(fast=True)           # the same on onnxruntime, which loads in a fraction of the time
    model = captioner.load("runs/captioner")    # your own captioner
    model = captioner.load("hub:pali_gemma_3b_mix_224")  # a KerasHub preset, or hub: with a preset's folder
    print(model.caption("a.jpg").text)

`captioner.load` returns a trained `Captioner`; see its `caption` method. The other public names (`captioner.score`,
`captioner.tokenize`, `captioner.open_features`, ...; `dir(captioner)` lists them) are imported when they are first
used, so that importing the package is fast. After the import, `keras.saving.load_model` can load captioners too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal, overload

from captioner.registration import register_captioner

if TYPE_CHECKING:
    from os import PathLike

    from captioner.captioner import Captioner
    from captioner.export.fast import FastCaptioner

__version__ = "0.1.0"

register_captioner()


@overload
def load(path: str | PathLike[str] | None = None, fast: Literal[False] = False) -> Captioner: ...
@overload
def load(path: str | PathLike[str] | None = None, *, fast: Literal[True]) -> FastCaptioner: ...
@overload
def load(path: str | PathLike[str] | None, fast: bool) -> Captioner | FastCaptioner: ...


def load(path: str | PathLike[str] | None = None, fast: bool = False) -> Captioner | FastCaptioner:
    """Load a trained captioner from a run folder or a `.keras` file, or the built-in captioner without a path.

    Args:
        path: a run folder or file, or `hub:` with a KerasHub preset or a preset's folder. A preset must be an
            image-to-text model; it is loaded as a captioner.hub.hub_captioner.HubCaptioner with the same `caption`
            method. Presets are downloaded only with CAPTIONER_ALLOW_DOWNLOAD=1 in the environment.
        fast: load the graph for onnxruntime instead, which takes a fraction of the time and memory. The built-in
            captioner has a graph, and `captioner export RUN` writes the graph of a run. `caption` works the same and
            returns the same captions.

    Raises:
        captioner.storage.DataError: there is no captioner at `path`, or it was not saved by captioner; with `fast`,
            there is no graph, or it was made from another `.keras` file.
        captioner.config.ConfigError: the backend selected for Keras is not available.
    """
    if path is not None and str(path).startswith("hub:"):
        return _load_hub(str(path), fast)
    if fast:
        from captioner.export.fast import load_fast

        return load_fast(path or importlib.import_module("captioner.pretrained.box").the_box())
    from captioner.keras_settings import import_keras

    import_keras()
    from captioner.captioner import load as load_captioner

    if path is None:
        return load_captioner(importlib.import_module("captioner.pretrained.box").the_box())
    return load_captioner(path)


def _load_hub(name: str, fast: bool) -> Any:
    """Return a KerasHub model; `load` is not annotated with its class, because most calls return a Captioner."""
    if fast:
        raise importlib.import_module("captioner.storage").DataError(f"{name}: has no graph; load it without fast=True")
    from captioner.keras_settings import import_keras

    import_keras()
    return importlib.import_module("captioner.hub.loading").load_hub(name)


# The other public names: name -> the module that defines it, imported when the name is first used.
PUBLIC = {
    "Captioner": "captioner.captioner",
    "ConfigError": "captioner.config",
    "DataError": "captioner.storage",
    "Ensemble": "captioner.ensemble",
    "FeatureStore": "captioner.features.store",
    "GenerationConfig": "captioner.generation.config",
    "Recipe": "captioner.recipe",
    "Vocabulary": "captioner.text.vocabulary",
    "build_decoder": "captioner.models.architectures",
    "clean_caption": "captioner.text.cleaning",
    "open_features": "captioner.features.store",
    "read_captions": "captioner.data.dataset",
    "score": "captioner.metrics.scorer",
    "tokenize": "captioner.text.ptb",
}


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'captioner' has no attribute {name!r}")
    value = getattr(importlib.import_module(PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
