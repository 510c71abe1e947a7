"""Makes `keras.saving.load_model` know captioners as soon as captioner is imported, without loading Keras for it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

REGISTERED = "captioner>Captioner"  # the name under which a `.keras` file holds the class


class LaterCaptioner:
    """Takes the place of Captioner among Keras' custom objects until the first one is loaded."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Import Captioner, which registers it and every decoder, and build one."""
        from captioner.captioner import Captioner

        return Captioner.from_config(config)


class AfterKeras:
    """A finder of modules that finds Keras as it would be found without this, and then registers captioners.

    It is no importlib.abc.MetaPathFinder, because importing that takes longer than everything else here.
    """

    def __init__(self) -> None:
        self._looking = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name != "keras" or self._looking:
            return None
        self._looking = True  # the search below asks every finder, this one too
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register(module)

        spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def register_captioner() -> None:
    """Register captioners with Keras: now where it is imported already, or else when it is."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "saving"):
        _register(keras)
    elif not any(isinstance(finder, AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterKeras())


def _register(keras: Any) -> None:
    keras.saving.get_custom_objects().setdefault(REGISTERED, LaterCaptioner)
