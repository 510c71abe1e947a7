"""Decoding speed of the merge model, beside the tutorial's loop and a compiled step run picture by picture."""

from __future__ import annotations

import argparse
import time

import keras
import numpy as np
from keras import ops
from machine import CHANNELS, LONGEST, WORDS, device, seconds
from tutorial import caption, make_model

from captioner.generation.caption import generate, make_search
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import build_decoder
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import END, SPECIALS, START, TextConfig, Vocabulary

LENGTH = 12  # words that every caption gets, whoever decodes: the comparison must not hang on when a model ends


def never_ending(decoder: CaptionDecoder) -> CaptionDecoder:
    """Make <end> impossible."""
    bias = ops.convert_to_numpy(decoder.output_layer.bias).copy()
    bias[END] = -1e4
    decoder.output_layer.bias.assign(bias)
    return decoder


def tutorial_rate(features: np.ndarray) -> float:
    """Return the tutorial's captions per second."""
    model = make_model(WORDS, LONGEST, CHANNELS)
    caption(model, features[0], START, None, LONGEST, LENGTH)
    began = time.perf_counter()
    for vector in features:
        caption(model, vector, START, None, LONGEST, LENGTH)
    return len(features) / (time.perf_counter() - began)


def stepwise_rate(decoder: CaptionDecoder, features: np.ndarray) -> float:
    """Return the captions per second of the decoder's compiled step, called once per word and picture."""
    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(decoder.step)
    else:
        import tensorflow

        compiled = tensorflow.function(decoder.step)

    def one(vector: np.ndarray) -> None:
        memory = decoder.encode(vector[None])
        state = decoder.initial_state(memory, LENGTH)
        token = ops.convert_to_tensor([START], "int32")
        for position in range(LENGTH):
            logits, state, _ = compiled(token, ops.convert_to_tensor(position, "int32"), state, memory)
            token = ops.cast(ops.top_k(logits, 1)[1][:, 0], "int32")
            np.asarray(token)

    one(features[0])
    began = time.perf_counter()
    for vector in features:
        one(vector)
    return len(features) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--reference-pictures", type=int, default=50, help="pictures the references are timed on")
    options = parser.parse_args()
    features = np.random.default_rng(0).normal(size=(options.pictures, CHANNELS)).astype("float32")
    keras.utils.set_random_seed(0)
    decoder = never_ending(build_decoder({"architecture": "merge"}, WORDS, (CHANNELS,)))
    words = [f"w{index}" for index in range(WORDS - len(SPECIALS))]
    vocabulary = Vocabulary.fit([words], TextConfig())
    print(f"merge, 256 wide, {WORDS} words, {LENGTH} words a caption, {options.pictures} pictures; {device()}")
    tutorial = tutorial_rate(features[: options.reference_pictures])
    stepwise = stepwise_rate(decoder, features[: options.reference_pictures])
    print(f"tutorial's loop          greedy {tutorial:8.1f} captions/s")
    print(f"compiled step, one by one greedy {stepwise:7.1f} captions/s")
    for name, beam_size in (("greedy", 1), ("beam 3", 3)):
        search = make_search(decoder, GenerationConfig(beam_size=beam_size, max_length=LENGTH))
        ours = options.pictures / seconds(lambda search=search: generate(search, features, vocabulary), 3)  # type: ignore[misc]
        print(
            f"captioner                {name} {ours:8.1f} captions/s  {ours / tutorial:6.0f} x the tutorial  "
            f"{ours / stepwise:5.1f} x the compiled step"
        )
