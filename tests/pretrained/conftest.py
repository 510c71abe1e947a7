"""A small run that becomes a box."""

import keras
import pytest

from captioner.captioner import Captioner
from captioner.encoders.encoder import EncoderConfig, build_encoder
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import build_decoder
from captioner.run_folder import CAPTIONER
from captioner.text.vocabulary import TextConfig, Vocabulary

WORDS = [["a", "dog", "runs"], ["a", "cat", "sleeps"], ["the", "dog", "sleeps"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder whose captioner looks through a small real encoder."""
    keras.utils.set_random_seed(0)
    vocabulary = Vocabulary.fit(WORDS, TextConfig())
    encoder = build_encoder(EncoderConfig("efficientnet_lite0", "pool", "random"))
    decoder = build_decoder({"units": 8, "embedding_size": 4, "normalize": True}, len(vocabulary), (1280,))
    folder = tmp_path_factory.mktemp("run")
    Captioner(decoder, vocabulary, encoder.description, GenerationConfig(max_length=6)).save_to(folder / CAPTIONER)
    return folder
