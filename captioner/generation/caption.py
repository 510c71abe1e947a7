"""From features to Caption objects: which search a configuration means, run in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops

from captioner.generation.beam import BeamSearch
from captioner.generation.greedy import GreedySearch
from captioner.generation.search import IMPOSSIBLE, GenerationConfig, Search
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
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    attention: np.ndarray | None = None


def make_search(decoder: CaptionDecoder, config: GenerationConfig, n: int = 1) -> Search:
    """Return the search that `config` asks for, giving `n` captions a picture."""
    return (GreedySearch if config.beam_size == 1 else BeamSearch)(decoder, config, n)


def generate(search: Search, features: np.ndarray, vocabulary: Vocabulary) -> list[list[Caption]]:
    """Caption pictures.

    Args:
        search: from `make_search`; used again it is not compiled again.
        features: (pictures, channels) or (pictures, regions, channels) float32.
        vocabulary: the decoder's.

    Returns:
        for each picture its captions, best first; fewer than asked for where the model has no more.
    """
    captions: list[list[Caption]] = []
    for start in range(0, len(features), LARGEST_BATCH):
        part = features[start : start + LARGEST_BATCH]
        size = min(LARGEST_BATCH, 1 << (len(part) - 1).bit_length())  # few sizes, or each would be compiled anew
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        result = {name: ops.convert_to_numpy(value) for name, value in search.predict_on_batch(padded).items()}
        captions += [_captions_of(result, row, vocabulary) for row in range(len(part))]
    return captions


def _captions_of(result: dict[str, np.ndarray], row: int, vocabulary: Vocabulary) -> list[Caption]:
    captions = []
    for rank in range(result["tokens"].shape[1]):
        log_prob = float(result["log_probs"][row, rank])
        if log_prob < IMPOSSIBLE / 2:
            break
        tokens = vocabulary.decode(result["tokens"][row, rank])
        attention = result["attention"][row, rank, : len(tokens)] if "attention" in result else None
        captions.append(Caption(vocabulary.to_text(tokens), tuple(tokens), log_prob, attention))
    return captions


def texts(captions: Sequence[Sequence[Caption]]) -> list[str]:
    """Return each picture's best caption, empty where there is none."""
    return [picture[0].text if picture else "" for picture in captions]
