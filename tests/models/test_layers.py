"""Every layer of ours can be saved, loaded and made again from its configuration."""

import keras
import numpy as np
import pytest
from keras import ops

from captioner.models.cells import Recurrent
from captioner.models.config import WordsConfig
from captioner.models.layout import Layout
from captioner.models.transformer_layers import DecoderLayer, EncoderLayer, keys_and_values
from captioner.models.words import Words

WORDS, UNITS = 9, 6


def recurrent_outputs(layer):
    state = ops.ones((3, UNITS))
    inputs = np.random.default_rng(0).normal(size=(3, UNITS)).astype("float32")
    return layer.step(inputs, tuple((state, state) for _ in range(layer.layer_count)))[0]


def word_outputs(layer):
    return layer.logits(layer(np.arange(WORDS, dtype="int32"))[:, :UNITS])


def encoder_outputs(layer):
    return layer(np.random.default_rng(0).normal(size=(2, 4, UNITS)).astype("float32"))


def decoder_outputs(layer):
    rng = np.random.default_rng(0)
    words, memory = rng.normal(size=(6, UNITS)), rng.normal(size=(2, 4, 2 * UNITS))
    layout = Layout(np.arange(6, dtype="int32"), 2, 1, 3)
    keys_values = keys_and_values(memory.astype("float32"), layer.heads)
    return layer.read_captions(words.astype("float32"), keys_values, layout)


CASES = {
    "recurrent": (
        lambda: Recurrent("lstm", UNITS, layers=2, recurrent_dropout=0.1, dropout=0.2, layer_norm=True, l2=0.01),
        recurrent_outputs,
    ),
    "words": (lambda: Words(WORDS, UNITS, WordsConfig(embedding_size=7, word_dropout=0.1)), word_outputs),
    "tied words": (lambda: Words(WORDS, UNITS, WordsConfig(embedding_size=7, tied=True)), word_outputs),
    "encoder": (lambda: EncoderLayer(UNITS, 2, 12, 0.1), encoder_outputs),
    "decoder": (lambda: DecoderLayer(UNITS, 3, 12, 0.2), decoder_outputs),
}


def built(layer):
    if not layer.built:
        layer.build((None, None, UNITS))
    return layer


@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_made_again_from_its_configuration_and_its_weights(name, tmp_path):
    make, outputs = CASES[name]
    keras.utils.set_random_seed(1)
    layer = built(make())
    rng = np.random.default_rng(2)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    config = keras.saving.serialize_keras_object(layer)
    again = built(keras.saving.deserialize_keras_object(config))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in layer.weights]
    again.set_weights(layer.get_weights())
    expected = ops.convert_to_numpy(outputs(layer))
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs(again)), expected)
    assert np.abs(expected).max() > 0
