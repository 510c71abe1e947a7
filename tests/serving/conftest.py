"""A small captioner that looks at regions, and a server of it, for all tests of serving."""

import keras
import pytest

from captioner.captioner import Captioner
from captioner.encoders.encoder import EncoderConfig, build_encoder
from captioner.encoders.table import BACKBONES, Backbone
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import build_decoder
from captioner.serving.app import create_app
from captioner.serving.limits import Limits
from captioner.serving.model import ServedModel
from captioner.text.vocabulary import TextConfig, Vocabulary
from tests.encoders.tiny import tiny
from tests.serving.server import serving

WORDS = [["a", "dog", "runs"], ["a", "cat", "sleeps"], ["the", "bird", "sings", "loudly"]]
SMALL = Limits(batch=4, window=0.0, deadline=600)  # a search that is asked for first is compiled first


def make_captioner(layer="grid", architecture="attention"):
    """Return a captioner with random weights that answers different pictures differently."""
    keras.utils.set_random_seed(3)
    encoder = build_encoder(EncoderConfig("tiny", layer, "random"))
    vocabulary = Vocabulary.fit(WORDS, TextConfig())
    settings = {"architecture": architecture, "units": 8, "embedding_size": 4}
    decoder = build_decoder(settings, len(vocabulary), encoder.feature_shape)
    for weight in decoder.weights:
        weight.assign(weight * 4)  # or every picture would get the same words
    return Captioner(
        decoder, vocabulary, encoder.description, GenerationConfig(beam_size=2, max_length=6, min_length=2)
    )


@pytest.fixture(scope="session")
def tiny_encoder():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", Backbone(tiny, (9, 13), "caffe", None, (4, 6, 6), 168))
        yield


@pytest.fixture(scope="session")
def model(tiny_encoder):
    return ServedModel(make_captioner(), "tiny", {"bleu_4": 0.5})


@pytest.fixture(scope="session")
def client(model):
    with serving(create_app(model, limits=SMALL)) as client:
        yield client
