import pytest

from captioner.config import ConfigError
from captioner.encoders import layers
from captioner.encoders.applications import inner_layers
from captioner.encoders.layers import known_layers, require_layers
from captioner.encoders.table import BACKBONES

NAMES = list(BACKBONES)  # before a test adds one of its own
QUICK = {"vgg16", "mobilenet", "efficientnet_lite0"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_the_file_has_the_layers_of_the_network_in_their_order(name):
    assert list(known_layers(name).items()) == list(inner_layers(name).items()), "scripts/make_layers.py writes it"


def test_every_encoder_is_in_the_file_and_its_last_grid_is_the_table_s():
    for name in NAMES:
        assert BACKBONES[name].grid in known_layers(name).values(), name


def test_a_layer_that_is_not_there_is_refused_with_its_neighbours():
    require_layers("VGG16", ("pool", "grid", "fc2", "block5_pool"))
    with pytest.raises(
        ConfigError, match=r"layer 'blok5_pool' is not in vgg16; near it: block5_pool, .*encoders vgg16"
    ):
        require_layers("VGG16", ("pool", "blok5_pool"))
    with pytest.raises(ConfigError, match="did you mean vgg1"):
        known_layers("vgg61")


@pytest.mark.parametrize(("name", "release"), [("vgg16", "99.1"), ("hub:clip_vit_base_patch32", None)])
def test_what_only_the_network_can_tell_is_left_to_it(name, release, monkeypatch):
    if release is not None:
        monkeypatch.setattr(layers, "keras_release", lambda: release)
    assert known_layers(name) is None
    require_layers(name, ("whatever",))
