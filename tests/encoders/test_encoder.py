import json
from pathlib import Path

import keras
import numpy as np
import pytest

from captioner.config import ConfigError, build, to_settings
from captioner.encoders.applications import WEIGHTS_FOLDER
from captioner.encoders.encoder import (
    IDENTITY,
    EncoderConfig,
    build_encoder,
    differences,
    encoder_from_description,
)
from captioner.images.decode import load_image
from captioner.storage import DataError

SHARED = Path(__file__).parents[2].parent / "shared"


def pictures(count, height=9, width=13):
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), np.uint8)


def config(**settings):
    return EncoderConfig(**{"backbone": "tiny", "weights": "random", **settings})


def test_vectors_grids_and_their_order():
    grid = build_encoder(config(layer="grid"))
    pool = build_encoder(config(layer="pool"))
    dense = build_encoder(config(layer="fc"))
    batch = pictures(3)
    regions = grid.encode(batch)
    assert regions.shape == (3, 4 * 6, 6)
    assert regions.dtype == np.float32
    assert (grid.feature_shape, pool.feature_shape, dense.feature_shape) == ((24, 6), (6,), (5,))
    np.testing.assert_allclose(pool.encode(batch), regions.mean(axis=1), rtol=1e-5, atol=1e-4)
    assert dense.encode(batch).shape == (3, 5)
    # regions run row by row: a bright lower right corner shines at the ends of the last two rows
    corner = np.zeros((1, 9, 13, 3), np.uint8)
    corner[:, -3:, -3:] = 255
    change = np.abs(grid.encode(corner) - grid.encode(np.zeros_like(corner))).sum(axis=-1)[0]
    assert np.flatnonzero(change).tolist() == [16, 17, 22, 23]


@pytest.mark.parametrize("count", [0, 1, 3, 8, 9, 17])
def test_any_number_of_pictures_gives_what_one_gives(count):
    encoder = build_encoder(config())
    batch = pictures(count)
    together = encoder.encode(batch)
    assert together.shape == (count, 6)
    for index in range(count):
        np.testing.assert_allclose(encoder.encode(batch[index : index + 1])[0], together[index], rtol=1e-5, atol=1e-3)


def test_prepare_resizes_the_encoders_way():
    picture = np.full((40, 20, 3), 255, np.uint8)
    assert build_encoder(config(resizing="whole")).prepare(picture).min() == 255
    padded = build_encoder(config(resizing="pad")).prepare(picture)
    assert padded.shape == (9, 13, 3)
    assert padded.min() == 0


def test_encode_refuses_pictures_that_are_not_prepared():
    encoder = build_encoder(config())
    with pytest.raises(ValueError, match=r"expected \(n, 9, 13, 3\) uint8, found \(1, 8, 8, 3\) uint8"):
        encoder.encode(pictures(1, 8, 8))
    with pytest.raises(ValueError, match="float32"):
        encoder.encode(pictures(1).astype(np.float32))


def test_bfloat16_is_close_and_the_same_encoder():
    full, narrow = build_encoder(config()), build_encoder(config(), "bfloat16")
    batch = pictures(4)
    a, b = full.encode(batch), narrow.encode(batch)
    assert b.dtype == np.float32
    assert not np.array_equal(a, b)
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    assert cosine.min() > 0.999
    assert narrow.description["precision"] == "bfloat16"
    assert differences(full.description, narrow.description) == []


def test_the_description_rebuilds_the_encoder():
    encoder = build_encoder(config(layer="conv", resizing="crop", filter="lanczos"))
    description = json.loads(json.dumps(encoder.description))
    again = encoder_from_description(description)
    assert differences(description, again.description) == []
    batch = pictures(2)
    np.testing.assert_array_equal(encoder.encode(batch), again.encode(batch))


def test_larger_pictures_give_more_regions_by_the_same_weights():
    own, larger = build_encoder(config(layer="grid")), build_encoder(config(layer="grid", input_size=32))
    assert larger.encode(pictures(2, 32, 32)).shape == (2, 15 * 15, 6)
    assert differences(own.description, larger.description) == ["input_size: 9 x 13 against 32 x 32"]
    again = encoder_from_description(larger.description)
    batch = pictures(2, 32, 32)
    np.testing.assert_array_equal(larger.encode(batch), again.encode(batch))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_size": 31}, "input_size: must be 32 to 2048 pixels, found 31"),
        ({"input_size": 4000}, "input_size: must be 32 to 2048 pixels, found 4000"),
        ({"input_size": 224, "backbone": "hub:x"}, "hub:x has a size of its own; leave input_size out"),
        ({"input_size": 32, "layer": "fc"}, "layer 'fc' of tiny needs pictures of 9 pixels"),
        ({"input_size": 40, "backbone": "inception_v3"}, "inception_v3 refuses 40 pixels"),
    ],
)
def test_sizes_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_encoder(config(**settings))


def test_a_description_with_a_size_that_cannot_be():
    description = build_encoder(config()).description
    for size in ([9, 14], [10**9, 10**9], "large", None, [32]):
        with pytest.raises(DataError, match="no encoder can be built from the description: input_size"):
            encoder_from_description({**description, "input_size": size})


def test_grid_is_another_name_of_the_last_map():
    grid, named = build_encoder(config(layer="grid")), build_encoder(config(layer="conv"))
    assert differences(grid.description, named.description) == []


def test_other_weights_are_refused_with_both_digests():
    description = build_encoder(config()).description
    with pytest.raises(DataError, match=rf"weights: {'0' * 12} against {description['weights'][:12]}"):
        encoder_from_description({**description, "weights": "0" * 64})


def test_a_description_that_is_none():
    with pytest.raises(DataError, match="lacks layer"):
        encoder_from_description({key: 1 for key in IDENTITY if key != "layer"})
    description = build_encoder(config()).description
    with pytest.raises(DataError, match="'gone' is unknown"):
        encoder_from_description({**description, "backbone": "gone"})


def test_differences_name_what_differs():
    a = build_encoder(config()).description
    b = {**a, "layer": "conv", "input_size": (9, 14), "precision": "bfloat16"}
    assert differences(a, b) == ["layer: pool against conv", "input_size: 9 x 13 against 9 x 14"]
    assert differences(a, {**a, "input_size": (9, 13)}) == []


def test_the_configuration_is_a_section():
    assert build(EncoderConfig, to_settings(config())) == config()
    with pytest.raises(ConfigError, match="did you mean vgg1"):
        build(EncoderConfig, {"backbone": "vgg6"})
    with pytest.raises(ConfigError, match="resizing"):
        build(EncoderConfig, {"resizing": "squash"})
    with pytest.raises(ConfigError, match="float16"):
        build_encoder(config(), "float16")


@pytest.mark.slow
def test_vgg16s_layers():
    shapes = {"pool": (512,), "block5_pool": (49, 512), "block5_conv3": (196, 512)}
    for layer, shape in shapes.items():
        assert build_encoder(EncoderConfig("vgg16", layer=layer, weights="random")).feature_shape == shape
    encoder = build_encoder(EncoderConfig("vgg16", layer="fc2", weights="random"))
    features = encoder.encode(pictures(1, 224, 224))
    assert features.shape == (1, 4096)
    assert features.std() > 0


@pytest.mark.slow
def test_vgg16s_pool_equals_keras(monkeypatch):
    weights = SHARED / "weights" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    if not weights.is_file():
        pytest.skip(f"{weights} is missing")
    monkeypatch.setenv(WEIGHTS_FOLDER, str(weights.parent))
    encoder = build_encoder(EncoderConfig("vgg16"))
    paths = sorted((SHARED / "data" / "coco-mini" / "train2017").glob("*.jpg"))[:2]
    batch = np.stack([encoder.prepare(load_image(path)) for path in paths])
    model = keras.applications.VGG16(include_top=False, pooling="avg", weights=str(weights))
    expected = model.predict_on_batch(keras.applications.vgg16.preprocess_input(batch.astype(np.float32)))
    np.testing.assert_allclose(encoder.encode(batch), expected, rtol=1e-4, atol=1e-3)
