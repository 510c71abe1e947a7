"""Every architecture in every format gives Keras' captions, greedy and by beam search."""

import numpy as np
import pytest
import tensorflow as tf

from captioner.config import ConfigError
from captioner.export.graphs import GraphPiece, whole_piece
from captioner.export.litert import write_litert
from captioner.export.onnx_file import write_onnx
from captioner.export.saved_model import write_saved_model
from captioner.storage import DataError
from tests.export.cases import ALL, IN_ONNX, assert_same, keras_captions, make, pictures
from tests.speed import slow


def with_beams(architectures, fast):
    pairs = [(name, beams) for name in architectures for beams in (1, 3)]
    return [pair if pair == fast else slow(*pair) for pair in pairs]


def expected(model, beams):
    return keras_captions(model, model.encode(list(pictures())), beams, beam_size=beams)


def run_onnx(path, pixels):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["tokens", "log_probs"], {"pictures": pixels})


def run_litert(path, pixels):
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(path), num_threads=1)
    model.allocate_tensors()
    found = []
    for picture in pixels:
        model.set_tensor(model.get_input_details()[0]["index"], picture[None])
        model.invoke()
        outputs = {one["dtype"]: model.get_tensor(one["index"]) for one in model.get_output_details()}
        found.append((outputs[np.int32][0], outputs[np.float32][0]))
    return tuple(map(np.stack, zip(*found, strict=True)))


def run_saved_model(path, pixels):
    found = tf.saved_model.load(str(path)).signatures["pixels"](tf.constant(pixels))
    return found["tokens"].numpy(), found["log_probs"].numpy()


@pytest.mark.parametrize(("architecture", "beams"), with_beams(IN_ONNX, ("attention", 1)))
def test_onnx(architecture, beams, tmp_path):
    model = make(architecture)
    write_onnx(tmp_path / "c.onnx", whole_piece(model, beams, beam_size=beams), "float32", {})
    assert_same(run_onnx(tmp_path / "c.onnx", pictures()), expected(model, beams))


@pytest.mark.slow
def test_what_onnx_lacks_is_said_in_one_line(tmp_path):
    with pytest.raises(DataError, match=r"ONNX has no operator XlaDynamicUpdateSlice.*--format saved_model keeps"):
        write_onnx(tmp_path / "c.onnx", whole_piece(make("prefix"), 1, beam_size=1), "float32", {})


@pytest.mark.parametrize(("architecture", "beams"), with_beams(ALL, ("merge", 3)))
def test_litert(architecture, beams, tmp_path):
    model = make(architecture)
    write_litert(tmp_path / "c.tflite", whole_piece(model, beams, pictures=1, beam_size=beams), "float32")
    assert_same(run_litert(tmp_path / "c.tflite", pictures()), expected(model, beams))


@pytest.mark.parametrize(("architecture", "beams"), with_beams(ALL, None))
def test_saved_model(architecture, beams, tmp_path):
    model = make(architecture)
    write_saved_model(tmp_path / "m", model, beams, "float32", beam_size=beams)
    assert_same(run_saved_model(tmp_path / "m", pictures()), expected(model, beams))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_narrow_weights_give_the_same_interface(precision, tmp_path):
    model = make("par-inject")
    write_onnx(tmp_path / "c.onnx", whole_piece(model, 3), precision, {})
    write_litert(tmp_path / "c.tflite", whole_piece(model, 3, pictures=1), precision)
    write_saved_model(tmp_path / "m", model, 3, precision)
    for run, name in ((run_onnx, "c.onnx"), (run_litert, "c.tflite"), (run_saved_model, "m")):
        tokens, log_probs = run(tmp_path / name, pictures())
        assert tokens.shape == (4, 3, 8) and (np.diff(log_probs.sum(1)) != 0).any(), name


@pytest.mark.slow
def test_settings_of_words_are_in_the_graph(tmp_path):
    options = {"no_repeat_ngram": 1, "banned_words": ("dog",), "min_length": 3}
    model = make("merge", **options)
    write_onnx(tmp_path / "c.onnx", whole_piece(model, 2), "float32", {})
    assert_same(run_onnx(tmp_path / "c.onnx", pictures()), keras_captions(model, model.encode(list(pictures())), 2))


def test_sampling_is_refused():
    with pytest.raises(ConfigError, match="sampling cannot be exported"):
        whole_piece(make("merge"), 1, sampling=True)


def strange(x):
    with tf.name_scope("odd_layer"):
        return {"found": tf.cast(tf.math.bessel_i0(x), tf.float32)}


def test_an_operator_that_a_format_lacks_names_the_layer(tmp_path):
    piece = GraphPiece(strange, [tf.TensorSpec((1, 3), tf.float32, name="x")])
    with pytest.raises(DataError, match=r"ONNX has no operator BesselI0, which the layer odd_layer"):
        write_onnx(tmp_path / "c.onnx", piece, "float32", {})
    with pytest.raises(DataError, match=r"LiteRT has no operator .*Bessel"):
        write_litert(tmp_path / "c.tflite", piece, "float32")
    assert not list(tmp_path.iterdir())
