"""Measures decoding of every architecture, a compiled step for one picture at a time, and the tutorial's loop."""

from __future__ import annotations

import argparse
import time

import keras
import numpy as np
from keras import ops, tree
from machine import CHANNELS, LONGEST, WORDS, Speed, beside_the_limit, device, product_operations
from one_by_one import beam_rate
from tutorial import caption, make_model

from captioner.config import ConfigError
from captioner.generation.config import GenerationConfig
from captioner.generation.decode import LARGEST_BATCH, generate, make_search
from captioner.models.architectures import build_decoder
from captioner.models.config import ARCHITECTURES
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import END, SPECIALS, START, TextConfig, Vocabulary

GRID = (49, 512)  # VGG16's last grid, 7 x 7
LENGTH = 12  # words of every caption, so that the comparison does not depend on when a model ends


def tutorial_rate(features: np.ndarray, words: int) -> float:
    """Return the tutorial's captions per second."""
    model = make_model(words, LONGEST, CHANNELS)
    caption(model, features[0], START, None, LONGEST, LENGTH)
    began = time.perf_counter()
    for vector in features:
        caption(model, vector, START, None, LONGEST, LENGTH)
    return len(features) / (time.perf_counter() - began)


def make_decoder(architecture: str, words: int) -> tuple[CaptionDecoder, np.ndarray]:
    """Return an architecture with its own defaults, and a picture's features: a vector, or a grid if it wants one."""
    keras.utils.set_random_seed(0)
    for shape in ((CHANNELS,), GRID):
        try:
            decoder = build_decoder({"architecture": architecture}, words, shape)
        except ConfigError:
            continue
        return never_ending(decoder), np.random.default_rng(0).normal(size=shape).astype("float32")
    raise ConfigError(f"{architecture} takes neither a vector nor a grid")


def never_ending(decoder: CaptionDecoder) -> CaptionDecoder:
    """Make <end> impossible through the output layer's bias, the one weight that has a number for each word."""
    for weight in decoder.weights:
        if tuple(weight.shape) == (decoder.vocabulary_size,):
            bias = ops.convert_to_numpy(weight).copy()
            bias[END] = -1e4
            weight.assign(bias)
            return decoder
    raise ConfigError("the decoder has no output bias")


def operations_per_caption(decoder: CaptionDecoder, features: np.ndarray, beams: int) -> float:
    """Return the matrix products' operations of a caption: the first word has one hypothesis, the others `beams`."""
    batch = ops.convert_to_tensor(features)
    memory = decoder.encode(batch)

    def step(rows: int) -> float:
        state = decoder.initial_state(memory, LENGTH)
        state = tree.map_structure(lambda leaf: ops.repeat(leaf, rows, axis=0), state)
        token = ops.full((rows * len(features),), START, dtype="int32")
        position = ops.convert_to_tensor(0, "int32")
        return product_operations(decoder.step, token, position, state, memory)

    total = product_operations(decoder.encode, batch) + step(1) + (LENGTH - 1) * step(beams)
    return total / len(features)


def our_speed(decoder: CaptionDecoder, features: np.ndarray, beams: int) -> Speed:
    """Return captioner's captions per second."""
    words = [f"w{index}" for index in range(decoder.vocabulary_size - len(SPECIALS))]
    vocabulary = Vocabulary.fit([words], TextConfig())
    search = make_search(decoder, GenerationConfig(beam_size=beams, max_length=LENGTH))
    operations = operations_per_caption(decoder, features[:LARGEST_BATCH], beams)
    return beside_the_limit(lambda: generate(search, features, vocabulary), len(features), operations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--reference-pictures", type=int, default=30, help="number of pictures for the references")
    parser.add_argument("--words", type=int, default=WORDS, help="words of the vocabulary")
    known = [name for name in ARCHITECTURES if name != "prefix"]  # its language model is a download
    parser.add_argument("--architectures", default=",".join(known), help="architectures, separated by commas")
    parser.add_argument("--no-tutorial", action="store_true", help="skip the tutorial's loop")
    options = parser.parse_args()
    print(f"{options.words} words, {LENGTH} words a caption, {options.pictures} pictures; {device()}")
    print(f"{'':14}{'beam':>5}{'one by one':>12}{'captioner':>11}{'':>9}{'limit':>8}{'share':>7}   (captions/s)")
    for architecture in options.architectures.split(","):
        decoder, one = make_decoder(architecture, options.words)
        rng = np.random.default_rng(1)
        features = rng.normal(size=(options.pictures, *one.shape)).astype("float32")
        for beams in (1, 5):
            reference = beam_rate(decoder, features[: options.reference_pictures], beams, LENGTH)
            ours = our_speed(decoder, features, beams)
            print(
                f"{architecture:14}{beams:5}{reference:12.1f}{ours.rate:11.1f}{ours.rate / reference:7.1f} x"
                f"{ours.limit:8.0f}{ours.share:7.2f}",
                flush=True,
            )
            if architecture == "merge" and beams == 1 and not options.no_tutorial:
                tutorial = tutorial_rate(features[: options.reference_pictures], options.words)
                print(f"{'':14}the tutorial's loop, greedy: {tutorial:.1f}; captioner is {ours.rate / tutorial:.0f} x")
