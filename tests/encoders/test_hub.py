"""KerasHub's backbones at a thousandth of their size, saved as presets and read the way the real ones are."""

import sys

import numpy as np
import pytest

from captioner.config import ConfigError
from captioner.encoders.config import EncoderConfig, differences
from captioner.encoders.encoder import build_encoder, encoder_from_description
from captioner.encoders.hub import hub_layers
from captioner.encoders.table import HUB_PRESETS
from captioner.storage import DataError

SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}
TEXT = {"vocabulary_size": 50, "embedding_dim": 16, "intermediate_dim": 32, "max_sequence_length": 8, **SIZES}
VISION = {"patch_size": 8, "image_shape": (32, 32, 3), "intermediate_dim": 32, **SIZES}
CLIPS = {"scale": [0.0145, 0.0151, 0.014], "offset": [-1.78, -1.77, -1.46]}
PLAIN = {"scale": 1 / 127.5, "offset": -1}


def clip(models):
    towers = {"vision_encoder": models.CLIPVisionEncoder(**VISION), "text_encoder": models.CLIPTextEncoder(**TEXT)}
    return models.CLIPBackbone(**towers, projection_dim=12)


def siglip(models):
    towers = {"vision_encoder": models.SigLIPVisionEncoder(**VISION), "text_encoder": models.SigLIPTextEncoder(**TEXT)}
    return models.SigLIPBackbone(**towers)


def dinov2(models):
    return models.DINOV2Backbone(**VISION, position_embedding_shape=(32, 32, 3), num_register_tokens=3)


def dinov3(models):
    return models.DINOV3Backbone(**VISION, num_register_tokens=3)


def vit(models):
    return models.ViTBackbone(image_shape=(32, 32, 3), patch_size=8, mlp_dim=32, **SIZES)


# family -> (backbone, converter, scaling, what the backbone itself gives as tokens and as pooled vector)
MADE_UP = {
    "clip": (
        *(clip, "CLIPImageConverter", CLIPS),
        lambda backbone, x: (backbone.vision_encoder({"images": x})[:, 1:], backbone.get_vision_embeddings(x)),
    ),
    "siglip": (
        *(siglip, "SigLIPImageConverter", PLAIN),
        lambda backbone, x: (siglip_tokens(backbone.vision_encoder, x), backbone.vision_encoder({"images": x})),
    ),
    "dinov2": (
        *(dinov2, "DINOV2ImageConverter", PLAIN),
        lambda backbone, x: (backbone({"images": x})[:, 4:], backbone({"images": x})[:, 0]),
    ),
    "dinov3": (
        *(dinov3, "DINOV3ImageConverter", PLAIN),
        lambda backbone, x: (backbone({"pixel_values": x})[:, 4:], backbone({"pixel_values": x})[:, 0]),
    ),
    "vit": (*(vit, "ViTImageConverter", PLAIN), lambda backbone, x: (backbone(x)[:, 1:], backbone(x)[:, 0])),
}


def siglip_tokens(tower, x):
    x = tower.embedding(x)
    for layer in tower.encoder_layers:
        x = layer(x)
    return tower.post_layer_norm(x)


@pytest.fixture
def preset(request, tmp_path):
    """Save a made-up backbone as a preset; return the preset's encoder name, the backbone and what it gives itself."""
    keras_hub = pytest.importorskip("keras_hub")
    make, converter, scaling, itself = MADE_UP[request.param]
    backbone = make(keras_hub.models)
    backbone.save_to_preset(str(tmp_path))
    getattr(keras_hub.layers, converter)(image_size=(32, 32), **scaling).save_to_preset(str(tmp_path))
    return (
        f"hub:{tmp_path}",
        backbone,
        lambda pictures: itself(backbone, pictures * scaling["scale"] + scaling["offset"]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("preset", MADE_UP, indirect=True)
def test_a_family_gives_what_the_backbone_gives(preset):
    name, _, itself = preset
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    tokens, pooled = map(np.asarray, itself(pictures.astype(np.float32)))
    encoder = build_encoder(EncoderConfig(name), layers=("grid", "pool"))
    grid, pool = encoder.encode_layers(pictures)
    assert [description["feature_shape"] for description in encoder.descriptions] == [[16, 16], [pool.shape[1]]]
    np.testing.assert_allclose(grid, tokens, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pool, pooled, rtol=1e-4, atol=1e-4)
    assert np.ptp(pool, axis=0).max() > 1e-3, "every picture gives the same"
    narrow = encoder.in_precision("bfloat16").encode_layers(pictures)
    assert 0 < np.abs(narrow[0] - grid).max() < 0.2
    again = encoder_from_description(encoder.description)
    assert differences(encoder.description, again.description) == []
    inner, shape = next(iter(hub_layers(name.removeprefix("hub:")).items()))
    assert build_encoder(EncoderConfig(name, inner)).feature_shape == shape
    with pytest.raises(ConfigError, match=r"'nonsense' is not among the token layers of .*; near it: pool, grid, "):
        build_encoder(EncoderConfig(name, "nonsense"))


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["vit"], indirect=True)
def test_weights_from_elsewhere(preset, tmp_path):
    name, backbone, _ = preset
    own = build_encoder(EncoderConfig(name)).description["weights"]
    backbone.save_weights(tmp_path / "same.weights.h5")
    for weights, same in ((str(tmp_path / "same.weights.h5"), True), ("random", False)):
        first, again = (build_encoder(EncoderConfig(name, weights=weights)).description["weights"] for _ in range(2))
        assert (first == again, first == own) == (True, same)
    (tmp_path / "broken.weights.h5").write_bytes(b"nothing")
    for weights, fault in (("broken.weights.h5", "not the weights of ViTBackbone"), ("missing.h5", "no such weights")):
        with pytest.raises(DataError, match=fault):
            build_encoder(EncoderConfig(name, weights=str(tmp_path / weights)))


@pytest.mark.slow
def test_presets_that_cannot_be_had(tmp_path, monkeypatch):
    keras_hub = pytest.importorskip("keras_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="hub:clip_vit_base_patch61: KerasHub has no such preset; near it: clip_vit"):
        build_encoder(EncoderConfig("hub:clip_vit_base_patch61"))
    with pytest.raises(DataError, match=r"cannot be loaded \(.*name the folder of a downloaded preset"):
        build_encoder(EncoderConfig(f"hub:{tmp_path}"))
    bert = keras_hub.models.BertBackbone(30, 1, 2, 8, 16)
    bert.save_to_preset(str(tmp_path))
    with pytest.raises(ConfigError, match="is a BertBackbone; these can encode pictures: CLIPBackbone, SigLIP"):
        build_encoder(EncoderConfig(f"hub:{tmp_path}"))
    models = ("CLIPBackbone", "SigLIPBackbone", "DINOV2Backbone", "ViTBackbone")
    known = {name for model in models for name in getattr(keras_hub.models, model).presets}
    assert set(HUB_PRESETS) <= known


def test_without_kerashub(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(DataError, match=r"KerasHub is not installed; `pip install 'captioner\[hub\]'`"):
        build_encoder(EncoderConfig("hub:vit_base_patch16_224_imagenet"))
