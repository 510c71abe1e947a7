"""What can be exported: the formats, what each needs, and what it cannot do. Needs no Keras."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from captioner.config import ConfigError

PRECISIONS = ("float32", "float16", "int8")


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        about: what comes out.
        needs: modules that must be installed to write it; the extra `export` brings them.
        runtime: what run.py beside it needs.
        file: the model's name in the folder.
    """

    about: str
    needs: tuple[str, ...]
    runtime: str
    file: str


FORMATS = {
    "saved_model": Format("a TensorFlow SavedModel that takes picture files", (), "tensorflow", "saved_model"),
    "onnx": Format("an ONNX graph", ("tf2onnx", "onnx", "onnxruntime"), "onnxruntime", "captioner.onnx"),
    "litert": Format("a LiteRT (TensorFlow Lite) model", (), "ai-edge-litert", "captioner.tflite"),
    "web": Format("a page that captions in the browser", ("tf2onnx", "onnx", "onnxruntime"), "a browser", "step.onnx"),
}


def require_installed(name: str) -> None:
    """Refuse a format whose packages are not installed. Raises ConfigError that names the extra."""
    for module in FORMATS[name].needs:
        if find_spec(module) is None:
            raise ConfigError(f"--format {name}: {module} is not installed; `pip install 'captioner[export]'`")
