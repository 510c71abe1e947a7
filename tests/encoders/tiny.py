import keras
import pytest

from captioner.encoders.table import BACKBONES, Backbone


def tiny(include_top, weights, input_shape):
    inputs = keras.Input(input_shape)
    outputs = keras.layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(inputs)
    if include_top:
        outputs = keras.layers.Dense(5, name="fc")(keras.layers.Flatten(name="flatten")(outputs))
    return keras.Model(inputs, outputs, name="tiny")


@pytest.fixture
def tiny_backbone(monkeypatch):
    """A network of one convolution over 9 x 13 pictures, called `tiny`."""
    monkeypatch.setitem(BACKBONES, "tiny", Backbone(tiny, (9, 13), "caffe", None, (4, 6, 6), 168))
