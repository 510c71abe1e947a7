"""Write TensorFlow functions as LiteRT (TensorFlow Lite) files."""

from __future__ import annotations

import re
from pathlib import Path

from captioner.export.formats import ExportPrecision
from captioner.export.graphs import GraphPiece
from captioner.storage import DataError, write_bytes


def write_litert(path: Path, piece: GraphPiece, precision: ExportPrecision) -> None:
    """Trace a function and write it as a LiteRT file.

    Args:
        path: path of the file, which is written atomically.
        piece: the function; its inputs have static shapes.
        precision: how weights are stored. With `int8`, LiteRT also computes products in int8 where it can.

    Raises:
        DataError: an operator has no counterpart in LiteRT; the message names it and its layer.
    """
    import tensorflow as tf

    traced = tf.function(piece.function, input_signature=piece.signature, autograph=False).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        content = converter.convert()
    except Exception as error:  # TensorFlow does not export the converter's error class
        raise DataError(f"{path}: {_fault(str(error))}; export --format saved_model keeps its operators") from None
    write_bytes(path, content)


def _fault(message: str) -> str:
    """Return the operator and the layer from the converter's long error message."""
    operator = re.search(r"'(tf\.\w+)' op is neither", message)
    layer = re.search(r'loc\(.*?"([^"]+)"', message)
    if operator is None:
        return f"LiteRT does not support this model ({' '.join(message.split())[:160]})"
    return f"LiteRT has no operator {operator[1]}" + (f", which the layer {layer[1]} needs" if layer else "")
