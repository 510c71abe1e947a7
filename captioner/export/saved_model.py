"""Write a captioner, or an ensemble, as a SavedModel from encoded pictures to captions that needs only TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import ops

from captioner.captioner import Captioner
from captioner.ensemble import Ensemble
from captioner.export.formats import ExportPrecision
from captioner.export.graphs import exported_search
from captioner.export.onnx_file import SMALLEST, to_int8
from captioner.export.tf_pictures import picture_reader
from captioner.text.bpe import BEGINS
from captioner.text.cleaning import TWO_SPACELESS
from captioner.text.vocabulary import END, START, Vocabulary

Tensor = Any


def write_saved_model(folder: Path, captioner: Captioner, n: int, precision: ExportPrecision, **changes: Any) -> None:
    """Write a SavedModel.

    Its signature `serving_default` takes `pictures`, encoded pictures as strings (pictures,), and returns captions
    (pictures, n), tokens (pictures, n, max_length) and log_probs (pictures, n). If all encoders take the same input,
    the signature `pixels` takes decoded pictures of the encoder's size, (pictures, height, width, 3) uint8, and returns
    tokens and log_probs.

    Args:
        folder: output folder.
        captioner: a captioner or an ensemble.
        n: captions per picture.
        precision: how weights are stored; the computation is in float32.
        changes: generation settings that differ from the captioner's.

    Raises:
        ConfigError, DataError: see captioner.export.graphs.whole_piece.
    """
    import tensorflow as tf

    members = captioner.members if isinstance(captioner, Ensemble) else [captioner]
    encoders = [member.find_encoder() for member in members]
    search = exported_search(captioner, n, **changes)
    stored = _Stored([*captioner.decoder.variables, *(one for encoder in encoders for one in encoder.variables)])
    stored.narrow(precision)
    readers = {
        tuple(map(str, (encoder.input_size, encoder.description["resizing"], encoder.description["filter"]))): encoder
        for encoder in encoders
    }

    def found_of(prepared: Callable[[Any], Tensor]) -> dict[str, Tensor]:
        with stored.widened():
            features = tuple(encoder.features(prepared(encoder)) for encoder in encoders)
            found = search.call(features if isinstance(captioner, Ensemble) else features[0])
        return {"tokens": found["tokens"], "log_probs": found["log_probs"]}

    def caption_files(pictures: Tensor) -> dict[str, Tensor]:
        prepared = {}
        for key, encoder in readers.items():
            description = encoder.description
            read = picture_reader(encoder.input_size, description["resizing"], description["filter"])
            kind = tf.TensorSpec((*encoder.input_size, 3), tf.uint8)
            prepared[key] = tf.map_fn(read, pictures, fn_output_signature=kind)

        def of(encoder: Any) -> Tensor:
            description = encoder.description
            return prepared[tuple(map(str, (encoder.input_size, description["resizing"], description["filter"])))]

        found = found_of(of)
        return {"captions": _texts(found["tokens"], captioner.vocabulary), **found}

    module = tf.Module()
    files = tf.TensorSpec((None,), tf.string, name="pictures")
    traced = {"serving_default": tf.function(caption_files, input_signature=[files], autograph=False)}
    if len(readers) == 1:
        pixels = tf.TensorSpec((None, *encoders[0].input_size, 3), tf.uint8, name="pictures")

        def caption_pixels(pictures: Tensor) -> dict[str, Tensor]:
            return found_of(lambda _: pictures)

        traced["pixels"] = tf.function(caption_pixels, input_signature=[pixels], autograph=False)
    signatures = {name: function.get_concrete_function() for name, function in traced.items()}
    module.weights = stored.tracked
    for name, function in traced.items():
        setattr(module, name, function)
    tf.saved_model.save(module, str(folder), signatures=signatures)


class _Stored:
    """Weights as stored, and a context in which Keras computes with them converted back to float32."""

    def __init__(self, variables: list[Any]) -> None:
        self.variables = variables
        self.tracked = [variable.value for variable in variables]
        self._narrow: list[tuple[Any, Callable[[], Tensor]]] = []

    def narrow(self, precision: ExportPrecision) -> None:
        """Store large weights in fewer bits."""
        import tensorflow as tf

        if precision == "float32":
            return
        self.tracked = []
        for variable in self.variables:
            values = ops.convert_to_numpy(variable)
            if values.size < SMALLEST or values.dtype != "float32":
                self.tracked.append(variable.value)
            elif precision == "float16":
                half = tf.Variable(tf.cast(values, tf.float16), trainable=False)
                self.tracked.append(half)
                self._narrow.append((variable, partial(tf.cast, half, tf.float32)))
            else:
                parts = to_int8(values, axis=_of_outputs(values.shape))
                numbers, scale = (tf.Variable(part, trainable=False) for part in parts)
                self.tracked += [numbers, scale]
                self._narrow.append((variable, partial(_scaled, numbers, scale)))

    def widened(self) -> Any:
        """Return the context; call it while a graph is traced, because the conversion is part of the graph."""
        if not self._narrow:
            return nullcontext()
        return keras.StatelessScope([(variable, widen()) for variable, widen in self._narrow])


def _of_outputs(shape: tuple[int, ...]) -> int:
    """Return the axis of a kernel's outputs: the last, or the one before in a depthwise kernel (h, w, channels, 1)."""
    return 2 if len(shape) == 4 and shape[3] == 1 else len(shape) - 1


def _scaled(numbers: Tensor, scale: Tensor) -> Tensor:
    return ops.cast(numbers, "float32") * scale


def _texts(tokens: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return the captions of tokens (pictures, n, max_length), the same as Vocabulary.decode and to_text."""
    import tensorflow as tf

    ended = tf.cumsum(tf.cast(tokens == END, tf.int32), axis=-1) > 0
    words = tf.gather(tf.constant(vocabulary.words), tokens)
    words = tf.where(ended | (tokens <= START), "", words)
    if vocabulary.merges is not None:
        joined = tf.strings.reduce_join(words, axis=-1)
        return tf.strings.strip(tf.strings.regex_replace(joined, BEGINS, " "))
    joined = tf.strings.strip(tf.strings.reduce_join(words, axis=-1, separator=" "))
    if not all(word.isascii() for word in vocabulary.words):
        # RE2 has no look-around, so each pass removes only every second gap.
        for _ in range(2):
            joined = tf.strings.regex_replace(joined, TWO_SPACELESS, r"\1\2")
    return joined
