import keras
import numpy as np
import pytest

from captioner.config import ConfigError
from captioner.encoders.applications import PREPROCESSING, load_trunk
from captioner.encoders.table import BACKBONES, WEIGHTS_FOLDER, Backbone
from captioner.encoders.trunk import weights_digest
from captioner.storage import DataError


@pytest.fixture(autouse=True)
def no_weights_folder(monkeypatch):
    monkeypatch.delenv(WEIGHTS_FOLDER, raising=False)


def refuse_download(*arguments, **settings):
    raise OSError(f"URL fetch failure: {arguments[0]}")


@pytest.fixture
def offline(monkeypatch):
    """Make Keras' download fail with the file's name."""
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", refuse_download)


def test_preprocessing_is_that_of_keras_applications():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.float32)
    known = {
        "caffe": keras.applications.vgg16.preprocess_input,
        "tf": keras.applications.inception_v3.preprocess_input,
        "torch": keras.applications.densenet.preprocess_input,
        "raw": keras.applications.efficientnet.preprocess_input,
    }
    for name, expected in known.items():
        found = keras.ops.convert_to_numpy(PREPROCESSING[name](keras.ops.convert_to_tensor(pictures)))
        np.testing.assert_allclose(found, expected(pictures.copy()), atol=1e-4, err_msg=name)


def test_a_failed_download_says_the_file_and_the_way_out(offline):
    file = BACKBONES["vgg16"].files[0]
    with pytest.raises(
        DataError, match=rf"{file}: cannot be downloaded .*failure: {file}\).*folder in {WEIGHTS_FOLDER}"
    ):
        load_trunk("vgg16", ["block5_pool"], "imagenet")


def digest(name, layer, weights):
    (head,) = load_trunk(name, [layer], weights).heads
    return head.digest


def test_random_weights_are_the_same_every_time_and_another_layer_gives_another_digest():
    first, again = (load_trunk("vgg16", ["block1_pool"], "random") for _ in range(2))
    assert first.heads[0].digest == again.heads[0].digest != digest("vgg16", "block2_pool", "random")
    assert first.model.outputs[0].shape == (None, 112, 112, 64)


def test_one_pass_for_several_layers_is_each_one_of_its_own():
    layers = ["pool", "grid", "block1_pool"]
    together = load_trunk("vgg16", layers, "random").heads
    assert [head.layer for head in together] == ["pool", "block5_pool", "block1_pool"]
    for layer, head in zip(layers, together, strict=True):
        (alone,) = load_trunk("vgg16", [layer], "random").heads
        assert (alone.layer, alone.digest) == (head.layer, head.digest)


def test_layers_of_the_top_come_in_one_pass_with_others(small_row):
    trunk = load_trunk("small", ["fc", "pool", "conv"], "random")
    assert [output.shape[1:] for output in trunk.model.outputs] == [(5,), (4, 4, 4), (4, 4, 4)]


@pytest.mark.parametrize("layer", ["pool", "grid", "block5_pool"])
def test_names_of_the_last_grid(layer):
    assert load_trunk("vgg16", [layer], "random").model.outputs[0].shape == (None, 7, 7, 512)


def small(include_top, weights, input_shape):
    """Stand in for a network with a dense top, a thousandth of the size."""
    if weights == "imagenet":
        raise OSError("no network")
    inputs = keras.Input(input_shape)
    outputs = keras.layers.Conv2D(4, 3, strides=2, name="conv")(inputs)
    if include_top:
        outputs = keras.layers.Dense(5, name="fc")(keras.layers.Flatten(name="flatten")(outputs))
    return keras.Model(inputs, outputs, name="small")


@pytest.fixture
def small_row(monkeypatch):
    row = Backbone(small, (9, 9), "raw", ("notop.weights.h5", "top.weights.h5"), (4, 4, 4), 112)
    monkeypatch.setitem(BACKBONES, "small", row)
    return row


def test_unknown_names_suggest_the_nearest(small_row):
    with pytest.raises(ConfigError, match="did you mean vgg1"):
        load_trunk("vgg61", ["pool"], "random")
    with pytest.raises(ConfigError, match="'conf' is not in small; near it: conv"):
        load_trunk("small", ["conf"], "random")


def test_the_weights_folder_is_searched_first(tmp_path, monkeypatch, small_row):
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    body, whole = small(False, None, (9, 9, 3)), small(True, None, (9, 9, 3))
    with pytest.raises(DataError, match=r"notop\.weights\.h5: cannot be downloaded \(no network\)"):
        load_trunk("small", ["conv"], "imagenet")
    whole.save_weights(tmp_path / "top.weights.h5")
    assert digest("small", "conv", "imagenet") == weights_digest(
        keras.Model(whole.input, whole.get_layer("conv").output)
    ), "the top's file will do"
    assert load_trunk("small", ["fc"], "imagenet").model.outputs[0].shape == (None, 5)
    body.save_weights(tmp_path / "notop.weights.h5")
    assert digest("small", "pool", "imagenet") == weights_digest(body)


def test_a_layer_of_the_top_needs_the_file_with_the_top(tmp_path, monkeypatch, small_row):
    small(False, None, (9, 9, 3)).save_weights(tmp_path / "notop.weights.h5")
    with pytest.raises(DataError, match=r"up to 'fc', which is in the dense top \(a `notop` file has none\)"):
        load_trunk("small", ["fc"], str(tmp_path / "notop.weights.h5"))
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    with pytest.raises(DataError, match=r"top\.weights\.h5: cannot be downloaded .*'fc' is in the dense top"):
        load_trunk("small", ["fc"], "imagenet")


def test_weights_that_are_missing_or_of_something_else(tmp_path, monkeypatch, small_row):
    with pytest.raises(DataError, match="no such weights file"):
        load_trunk("small", ["conv"], str(tmp_path / "missing.h5"))
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not the weights of small"):
        load_trunk("small", ["conv"], str(tmp_path / "broken.h5"))
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path / "missing"))
    with pytest.raises(DataError, match="no such folder, though"):
        load_trunk("small", ["conv"], "imagenet")
