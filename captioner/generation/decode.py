"""From features to Caption objects: which search a configuration means, run in batches."""

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

LARGEST_BATCH = 256  # pictures; beyond that a batch gains nothing and its beams' logits leave the caches


def make_search(
    decoder: CaptionDecoder, config: GenerationConfig, n: int = 1, vocabulary: Vocabulary | None = None
) -> Search:
    """Return the search that `config` asks for.

    Args:
        decoder: the decoder to run.
        config: how captions are generated.
        n: captions a picture.
        vocabulary: the decoder's; needed where the configuration names words.

    Raises:
        ValueError: n is above the beam size, words are named without a vocabulary, or there is a prompt.
    """
    if config.prompt:
        raise ValueError("prompt: only a model of KerasHub takes one; start gives the first words of a caption")
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
        search: from `make_search`; used again it is not compiled again.
        features: (pictures, channels) or (pictures, regions, channels) float32; of an ensemble a tuple of such.
        vocabulary: the decoder's.
        first: the number of the first picture among the user's, which sampling draws by; or (pictures,) one each.

    Returns:
        for each picture its captions, best first; fewer than asked for where the model has no more.
    """
    captions: list[list[Caption]] = []
    pictures = len(tree.flatten(features)[0])
    for start in range(0, pictures, LARGEST_BATCH):
        count = min(LARGEST_BATCH, pictures - start)
        rows = np.arange(start, start + (1 << (count - 1).bit_length()))  # few sizes, or each would be compiled again
        rows = np.minimum(rows, pictures - 1)
        part = tree.map_structure(lambda leaf, rows=rows: leaf[rows], features)
        numbers = first + start if isinstance(first, int) else first[rows]
        found = search.predict_on_batch(search.inputs(part, numbers))
        result = {name: ops.convert_to_numpy(value) for name, value in found.items()}
        captions += [captions_of(result, row, vocabulary, search) for row in range(count)]
    return captions
