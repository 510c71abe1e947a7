"""captioner: train, evaluate and serve image-captioning models from one command line.

    import captioner

    model = captioner.load()                    # the captioner in the box
    model = captioner.load(fast=True)           # the same on onnxruntime: there in a fraction of the time
    model = captioner.load("runs/captioner")    # one of your own
    print(model.caption("a.jpg").text)

`captioner.load` returns a trained `Captioner`, whose `caption` method says what it takes and gives. The other
public names (`captioner.score`, `captioner.tokenize`, `captioner.open_features`, ...; `dir(captioner)` lists them) are
imported when they are first used, so that importing the package costs nothing. `keras.saving.load_model` knows
captioners too once the package is imported.
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
    """Load a trained captioner from a run folder or a `.keras` file; without a path the captioner in the box.

    Args:
        path: the folder or file.
        fast: load the graph for onnxruntime instead, which takes a fraction of the time and of the memory; the box has
            one, and `captioner export RUN` makes that of a run. `caption` is the same, with the same captions.

    Raises:
        captioner.storage.DataError: there is none at `path`, or it was saved by something else; with `fast`, there is
            no graph, or it was made from another `.keras` file.
        captioner.config.ConfigError: the backend that Keras is to use cannot be had.
    """
    if fast:
        from captioner.export.fast import load_fast

        return load_fast(path or importlib.import_module("captioner.pretrained.box").the_box())
    from captioner.keras_settings import import_keras

    import_keras()
    from captioner.captioner import load as load_captioner

    if path is None:
        return load_captioner(importlib.import_module("captioner.pretrained.box").the_box())
    return load_captioner(path)


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
