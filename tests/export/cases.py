"""Small captioners of every architecture over the encoder `tiny`, and their captions."""

import keras
import numpy as np

from captioner.captioner import Captioner
from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import build_encoder
from captioner.generation.caption import captions_of
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import DECODERS, build_decoder
from captioner.models.config import ARCHITECTURES
from captioner.text.vocabulary import SPECIALS, Vocabulary
from tests.models.gpt2 import small_gpt2

WORDS = [
    *SPECIALS,
    *[
        "a",
        "dog",
        "cat",
        "runs",
        "sleeps",
        "the",
        "on",
        "in",
        "red",
        "green",
        "blue",
        "grey",
        "ball",
        "box",
        "big",
        "small",
    ],
]
VOCABULARY = Vocabulary(WORDS, "ptb", 40, dict.fromkeys(WORDS[4:], 1))
SETTINGS = {"units": 12, "embedding_size": 8}
TIE = 1e-4  # log-probabilities nearer than that may change places


def make(architecture, vocabulary=VOCABULARY, seed=0, resizing="whole", **generation):
    """Return a captioner with weights so large that its captions differ from picture to picture."""
    keras.utils.set_random_seed(seed)
    layer = "grid" if ARCHITECTURES[architecture].takes_grid else "pool"
    encoder = build_encoder(EncoderConfig(backbone="tiny", layer=layer, weights="random", resizing=resizing))
    settings = {"architecture": architecture, **SETTINGS}
    if architecture == "transformer":
        settings = {"architecture": architecture, "embedding_size": 8, "heads": 2, "feedforward_units": 16}
    if architecture in ("attention", "adaptive"):
        settings["attention_units"] = 6
    if architecture == "attention-on-attention":
        settings["heads"] = 2
    if architecture == "prefix":
        pieces = len(vocabulary) - len(SPECIALS) + 1
        settings = {"architecture": architecture, "language_model": small_gpt2(pieces), "prefix_length": 3}
    decoder = build_decoder({**settings, "normalize": True}, len(vocabulary), encoder.feature_shape)
    for weight in decoder.weights:
        if weight.path.endswith("bias"):
            weight.assign(keras.random.normal(weight.shape, seed=seed))
        elif len(weight.shape) > 1:
            weight.assign(weight * 3)
    generation = {"beam_size": 3, "max_length": 8, **generation}
    return Captioner(decoder, vocabulary, encoder.description, GenerationConfig(**generation))


def pictures(count=4, size=(9, 13)):
    return np.random.default_rng(1).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def keras_captions(model, features, n=1, **options):
    """Return what Captioner.caption_features does, step by step: compiling a search takes longer than running it."""
    search = model.search(n, **options)
    found = search(search.inputs(np.asarray(features, "float32")))
    result = {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}
    return [captions_of(result, row, model.vocabulary, search) for row in range(len(features))]


def assert_same(found, captions, vocabulary=VOCABULARY):
    """Check tokens (pictures, n, length) and log_probs (pictures, n) against Keras' captions, ties aside."""
    tokens, log_probs = found
    for row, expected in enumerate(captions):
        for rank, caption in enumerate(expected):
            assert abs(float(log_probs[row][rank]) - caption.log_prob) < TIE
            if all(abs(caption.log_prob - other.log_prob) > TIE for other in expected if other is not caption):
                assert vocabulary.decode(tokens[row][rank]) == list(caption.tokens)


ALL = list(DECODERS)
IN_ONNX = [name for name in ALL if name != "prefix"]  # KerasHub's cache is written by an operator that ONNX lacks
