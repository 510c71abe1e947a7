"""The upper layers of an encoder cut off: together with what is below they are the encoder."""

from dataclasses import replace

import numpy as np
import pytest

from captioner.config import ConfigError
from captioner.encoders.encoder import EncoderConfig, build_encoder
from captioner.encoders.tail import build_tail


def config(layer="block14_add", trained_to="grid", backbone="efficientnet_lite0"):
    return EncoderConfig(backbone, layer, "random", trained_to=trained_to)


@pytest.mark.slow
def test_what_is_below_and_the_tail_are_the_encoder():
    below_and_whole = build_encoder(config(), layers=["block14_add", "grid"])
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    inner, expected = below_and_whole.encode_layers(pictures)
    tail = build_tail(config())
    assert tail.input_shape == (None, 7, 7, 192) and tail.output_shape == (None, 7, 7, 1280)
    found = np.asarray(tail(inner.reshape(2, 7, 7, 192)))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-3, atol=1e-3)


def test_a_tail_is_cut_for_the_recipes_pictures():
    tail = build_tail(replace(config(), input_size=320))
    assert tail.input_shape == (None, 10, 10, 192) and tail.output_shape == (None, 10, 10, 1280)


def test_normalizations_are_folded_so_that_they_stay_frozen():
    assert not any("norm" in layer.name for layer in build_tail(config()).layers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained_to": "pool"}, "name grids, not pool"),
        ({"layer": "block14_expand_conv"}, "'grid' of efficientnet_lite0: does not follow from layer"),
        ({"layer": "grid", "trained_to": "block14_add"}, "does not follow from"),
        ({"layer": "head_norm", "trained_to": "head_relu"}, "no weights between"),
    ],
)
def test_what_cannot_be_cut_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_tail(config(**changes))
