"""Write TensorFlow functions as ONNX files."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import ConfigError
from captioner.export.fast import KEY
from captioner.export.formats import ExportPrecision
from captioner.export.graphs import GraphPiece
from captioner.export.runtime import import_onnxruntime
from captioner.storage import DataError, write_bytes

OPSET = 18
SMALLEST = 1024  # numbers; smaller constants always stay float32


def require_onnx() -> None:
    """Refuse to export if the extra is not installed. Raises ConfigError, which names it."""
    try:
        import_onnxruntime()
        import onnx  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed; `pip install 'captioner[export]'`") from None


def write_onnx(path: Path, piece: GraphPiece, precision: ExportPrecision, metadata: Mapping[str, Any]) -> None:
    """Trace a function and write it as an ONNX file.

    Args:
        path: path of the file, which is written atomically.
        piece: the function. Inputs and outputs keep their names.
        precision: how weights are stored; the computation is always in float32.
        metadata: stored in the file as JSON under the key `captioner`.

    Raises:
        DataError: an operator has no counterpart in ONNX; the message names the layer.
    """
    model = _convert(piece, path.stem)
    _require_known(model, path)
    _store(model.graph, precision)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(metadata, ensure_ascii=False)
    write_bytes(path, model.SerializeToString())


def _convert(piece: GraphPiece, name: str) -> Any:
    import tensorflow as tf
    from tf2onnx import optimizer, tf_loader
    from tf2onnx.convert import tensor_names_from_structed
    from tf2onnx.tfonnx import process_tf_graph

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    traced = tf.function(piece.function, input_signature=piece.signature, autograph=False).get_concrete_function()
    inputs = [tensor.name for tensor in traced.inputs if tensor.dtype != tf.resource]
    outputs = [tensor.name for tensor in traced.outputs]
    with tf.device("/cpu:0"):
        frozen = tf_loader.from_function(traced, inputs, outputs)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name="")
            converted = process_tf_graph(
                graph,
                continue_on_error=True,
                opset=OPSET,
                input_names=inputs,
                output_names=outputs,
                tensors_to_rename=tensor_names_from_structed(traced, inputs, outputs),
            )
            # The default, with a copy of the graph before each pass, takes three times as long.
            return optimizer.optimize_graph(converted, catch_errors=False).make_model(name)


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and the graphs of its loops and conditions."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _require_known(model: Any, path: Path) -> None:
    import onnx

    for graph in _graphs(model.graph):
        for node in graph.node:
            if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, OPSET):
                raise DataError(
                    f"{path}: ONNX has no operator {node.op_type}, which the layer {node.name} needs; "
                    "export --format saved_model keeps TensorFlow's operators"
                )


def _store(graph: Any, precision: ExportPrecision) -> None:
    """Store large float32 constants in fewer bits, and add operators that convert them back."""
    import onnx
    from onnx import numpy_helper

    if precision == "float32":
        return
    for part in list(_graphs(graph)):
        widened = []
        for constant in list(part.initializer):
            if constant.data_type != onnx.TensorProto.FLOAT or np.prod(constant.dims) < SMALLEST:
                continue
            values, name = numpy_helper.to_array(constant), constant.name
            part.initializer.remove(constant)
            narrow = f"{name}_{precision}"
            if precision == "float16":
                part.initializer.append(numpy_helper.from_array(_to_half(values), narrow))
                widened.append(onnx.helper.make_node("Cast", [narrow], [name], to=onnx.TensorProto.FLOAT))
                continue
            numbers, scale = to_int8(values, axis=0 if values.ndim == 4 else values.ndim - 1)
            part.initializer.append(numpy_helper.from_array(numbers, narrow))
            part.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
            widened.append(onnx.helper.make_node("Cast", [narrow], [f"{name}_wide"], to=onnx.TensorProto.FLOAT))
            widened.append(onnx.helper.make_node("Mul", [f"{name}_wide", f"{name}_scale"], [name]))
        rest = list(part.node)
        del part.node[:]
        part.node.extend([*widened, *rest])


def _to_half(values: np.ndarray) -> np.ndarray:
    largest = float(np.finfo(np.float16).max)
    return np.clip(values, -largest, largest).astype(np.float16)


def to_int8(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 numbers and a float32 scale for each index along `axis`; their product approximates `values`."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    scale = (np.abs(values).max(axis=others, keepdims=True) / 127).astype(np.float32)
    scale = np.where(scale == 0, np.float32(1), scale)
    return np.rint(values / scale).astype(np.int8), scale
