"""Register captioners for `keras.saving.load_model` when captioner is imported, without importing Keras."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

REGISTERED = "captioner>Captioner"  # the name of the class in a `.keras` file


class LaterCaptioner:
    """Stands in for Captioner in Keras' custom objects until the first captioner is loaded."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Import Captioner, which registers it and every decoder, and build one."""
        from captioner.captioner import Captioner

        return Captioner.from_config(config)


class AfterKeras:
    """A module finder that finds Keras in the usual way and registers captioners after its import.

    It does not subclass importlib.abc.MetaPathFinder, because that import takes longer than everything else here.
    """

    def __init__(self) -> None:
        self._looking = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name != "keras" or self._looking:
            return None
        self._looking = True  # because the search below asks every finder, including this one
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
    """Register captioners with Keras: now if Keras is already imported, otherwise when it is imported."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "saving"):
        _register(keras)
    elif not any(isinstance(finder, AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterKeras())


def _register(keras: Any) -> None:
    keras.saving.get_custom_objects().setdefault(REGISTERED, LaterCaptioner)
