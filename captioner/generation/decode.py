"""From features to Caption objects: which search a configuration means, run in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops, tree

from captioner.generation.beam import BeamSearch
from captioner.generation.config import GenerationConfig
from captioner.generation.constrained import ConstrainedBeamSearch
from captioner.generation.constraints import IMPOSSIBLE
from captioner.generation.diverse import DiverseBeamSearch
from captioner.generation.greedy import GreedySearch
from captioner.generation.sampling import Sampling
from captioner.generation.search import Numbers, Search
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import Vocabulary

LARGEST_BATCH = 256  # pictures; beyond that a batch gains nothing and its beams' logits leave the caches


@dataclass(frozen=True)
class Caption:
    """A generated caption.

    Attributes:
        text: the words with spaces between them, or what the pieces of words make.
        tokens: the words or pieces.
        log_prob: natural logarithm of its probability under the model, `<end>` included.
        attention: (tokens, regions) the weights of each word over the picture's regions, where the decoder has them.
        confidence: how good the caption is likely to be, from 0 to 1: see captioner.metrics.calibration. None where the
            captioner was trained without.
        score: what the search ranks it by: log_prob made comparable over lengths, see GenerationConfig.normalization.
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    attention: np.ndarray | None = None
    confidence: float | None = None
    score: float | None = None


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
        ValueError: n is above the beam size, or words are named without a vocabulary.
    """
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
        captions += [_captions_of(result, row, vocabulary, search) for row in range(count)]
    return captions


def _captions_of(result: dict[str, np.ndarray], row: int, vocabulary: Vocabulary, search: Search) -> list[Caption]:
    captions = []
    for rank in range(result["tokens"].shape[1]):
        log_prob = float(result["log_probs"][row, rank])
        if log_prob < IMPOSSIBLE / 2:
            break
        tokens = vocabulary.decode(result["tokens"][row, rank])
        attention = result["attention"][row, rank, : len(tokens)] if "attention" in result else None
        score = search.score(log_prob, int(result["lengths"][row, rank]))
        captions.append(Caption(vocabulary.to_text(tokens), tuple(tokens), log_prob, attention, score=score))
    return captions
