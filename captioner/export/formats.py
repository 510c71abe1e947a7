"""The export formats and their requirements. Needs no Keras."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

ExportPrecision = Literal["float32", "float16", "int8"]
PRECISIONS = get_args(ExportPrecision)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        about: description of the result.
        needs: modules that are needed to write it; the extra `export` installs them.
        runtime: package that run.py needs.
        file: the model's name in the folder.
    """

    about: str
    needs: tuple[str, ...]
    runtime: str
    file: str


_OF_ONNX = ("tf2onnx", "onnx", "onnxruntime")

FORMATS = {
    "saved_model": Format("a TensorFlow SavedModel that takes picture files", (), "tensorflow", "saved_model"),
    "onnx": Format("an ONNX graph", _OF_ONNX, "onnxruntime", "captioner.onnx"),
    "litert": Format("a LiteRT (TensorFlow Lite) model", (), "ai-edge-litert", "captioner.tflite"),
    "web": Format("a page that captions in the browser", _OF_ONNX, "a browser", "captioner.onnx"),
}


def require_installed(name: str) -> None:
    """Refuse a format whose packages are not installed. Raises ConfigError, which names the extra."""
    for module in FORMATS[name].needs:
        if find_spec(module) is None:
            from captioner.config import ConfigError

            raise ConfigError(f"--format {name}: {module} is not installed; `pip install 'captioner[export]'`")


def is_installed(name: str) -> bool:
    """Tell whether the packages of a format are installed."""
    return all(find_spec(module) is not None for module in FORMATS[name].needs)
