"""From features to Caption objects: chooses the search for a configuration and runs it in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops, tree

from captioner.generation.beam import BeamSearch
from captioner.generation.caption import Caption, captions_of
from captioner.generation.config import GenerationConfig
from captioner.generation.constrained import ConstrainedBeamSearch
from captioner.generation.diverse import DiverseBeamSearch
from captioner.generation.greedy import GreedySearch
from captioner.generation.sampling import Sampling
from captioner.generation.search import Search
from captioner.generation.word_rules import Numbers
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import Vocabulary

LARGEST_BATCH = 256  # pictures; larger batches are no faster, since the logits of their beams exceed the CPU's caches


def make_search(
    decoder: CaptionDecoder, config: GenerationConfig, n: int = 1, vocabulary: Vocabulary | None = None
) -> Search:
    """Return the search for `config`.

    Args:
        decoder: the decoder to run.
        config: how captions are generated.
        n: captions per picture.
        vocabulary: the decoder's vocabulary; needed if the configuration names words.

    Raises:
        ValueError: n is above the beam size, words are named without a vocabulary, or there is a prompt.
    """
    if config.prompt:
        raise ValueError("prompt: only KerasHub models have one; to set the first words of captions, use start")
    return _kind(config)(decoder, config, n, vocabulary)


def _kind(config: GenerationConfig) -> type[Search]:
    if config.sampling:
        return Sampling
    if config.must_include:
        return ConstrainedBeamSearch
    if config.groups > 1:
        return DiverseBeamSearch
    return GreedySearch if config.beam_size == 1 else BeamSearch


def generate(search: Search, features: Any, vocabulary: Vocabulary, first: Numbers = 0) -> list[list[Caption]]:
    """Caption pictures.

    Args:
        search: a search from `make_search`; using it again does not compile it again.
        features: (pictures, channels) or (pictures, regions, channels) float32; a tuple of these for an ensemble.
        vocabulary: the decoder's vocabulary.
        first: the number of the first picture in the user's input, which seeds sampling; or (pictures,) numbers.

    Returns:
        the captions of each picture, best first; fewer than n if the search found fewer.
    """
    captions: list[list[Caption]] = []
    pictures = len(tree.flatten(features)[0])
    for start in range(0, pictures, LARGEST_BATCH):
        count = min(LARGEST_BATCH, pictures - start)
        rows = np.arange(start, start + (1 << (count - 1).bit_length()))  # few sizes: each is compiled
        rows = np.minimum(rows, pictures - 1)
        part = tree.map_structure(lambda leaf, rows=rows: leaf[rows], features)
        numbers = first + start if isinstance(first, int) else first[rows]
        found = search.predict_on_batch(search.inputs(part, numbers))
        result = {name: ops.convert_to_numpy(value) for name, value in found.items()}
        captions += [captions_of(result, row, vocabulary, search) for row in range(count)]
    return captions
