"""Import Keras with the settings that captioner needs, independent of keras.json.

All of a user's projects share that file, and the settings of another project must not change captioner's behaviour.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from captioner.config import ConfigError

BACKENDS = ("tensorflow", "jax")
VARIABLE = "KERAS_BACKEND"
_FLOATS = ("float16", "float32", "float64")  # the values that Keras accepts; others make its import fail
_FORMATS = ("channels_last", "channels_first")


def import_keras() -> Any:
    """Import Keras on the selected backend, with float32 and channels last, and return it.

    If a program that uses captioner has imported Keras before, its settings stay unchanged.

    Raises:
        ConfigError: the backend selected by KERAS_BACKEND or keras.json is not one of BACKENDS, or is not installed.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    os.environ[VARIABLE] = find_backend()
    with _without_unusable(settings_path()):
        import keras
    settle_keras()
    return keras


def settle_keras() -> None:
    """Set the options that captioner needs in Keras, which must be imported already."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")


def tensorflow_on_cpu() -> bool:
    """Return whether TensorFlow computes on CPUs only. XLA then compiles for seconds, and its products are slower."""
    import keras

    return keras.backend.backend() == "tensorflow" and all(
        device.startswith("cpu") for device in keras.distribution.list_devices()
    )


def jit_of_training() -> Literal["auto", False]:
    """Return Keras' `jit_compile` for training. On TensorFlow the shapes change in every batch, which XLA cannot do."""
    import keras

    return False if keras.backend.backend() == "tensorflow" else "auto"


def settings_path() -> Path:
    """Return the path of Keras' settings file."""
    home = os.environ.get("KERAS_HOME")
    if home is None:
        user = os.path.expanduser("~")  # noqa: PTH111 - as Keras does it
        home = os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras")  # noqa: PTH118
    return Path(home).expanduser() / "keras.json"


def find_backend() -> str:
    """Return the selected backend, or the first of BACKENDS if none is selected.

    Raises:
        ConfigError: captioner does not support the backend, or it is not installed; the message says where it is set.
    """
    path = settings_path()
    if name := os.environ.get(VARIABLE):
        asks = f"{VARIABLE}={name}"
    else:
        name = _read(path).get("backend", BACKENDS[0])
        asks = f"{path}: backend {name!r}"
    way_out = f"set {VARIABLE}={BACKENDS[0]}"
    if name not in BACKENDS:
        raise ConfigError(f"{asks}: captioner runs on {' or '.join(BACKENDS)}; {way_out}")
    if _is_missing(name):
        other = next((backend for backend in BACKENDS if backend != name and not _is_missing(backend)), None)
        way_out = f", or set {VARIABLE}={other}" if other else ""
        raise ConfigError(f"{asks}: {name} is not installed; pip install {name}{way_out}")
    return str(name)


def _is_missing(name: str) -> bool:
    try:
        return name not in sys.modules and importlib.util.find_spec(name) is None
    except ImportError:
        return True


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a settings file; empty if it is missing or broken, as in Keras."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_usable(path: Path) -> bool:
    """Tell whether Keras can be imported with this settings file."""
    if not path.exists():
        return True
    content = _read(path)
    return (
        bool(content)
        and content.get("floatx", "float32") in _FLOATS
        and isinstance(content.get("epsilon", 1e-7), float)
        and content.get("image_data_format", "channels_last") in _FORMATS
    )


@contextlib.contextmanager
def _without_unusable(path: Path) -> Iterator[None]:
    """Give Keras an empty home folder during its import if the settings file would make the import fail."""
    if _is_usable(path):
        yield
        return
    before = os.environ.get("KERAS_HOME")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["KERAS_HOME"] = empty
        try:
            yield
        finally:
            if before is None:
                del os.environ["KERAS_HOME"]
            else:
                os.environ["KERAS_HOME"] = before
    from keras.src.backend import config

    config._KERAS_DIR = str(path.parent)  # where Keras stores its downloads
