"""The reward of a sampled caption in self-critical training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from captioner.metrics.bleu import bleu
from captioner.metrics.cider import CiderD
from captioner.metrics.matching import Candidates, References
from captioner.text.cleaning import words_of
from captioner.text.vocabulary import END, SPECIALS, Vocabulary

_END = SPECIALS[END]


class Reward:
    """CIDEr-D against a picture's training captions, with the document frequencies of all training captions.

    `<end>` counts as a word of references and samples here. Otherwise an unfinished caption such as "a man in a" would
    lose nothing, and self-critical training would learn to produce such captions.

    Args:
        references: image_id -> its training captions as words.
        bleu_4: weight of BLEU-4, which is added to CIDEr-D.
    """

    def __init__(self, references: Mapping[str, Sequence[Sequence[str]]], bleu_4: float = 0.0) -> None:
        self._references = References({name: [[*words, _END] for words in texts] for name, texts in references.items()})
        self._cider, self._bleu_4 = CiderD(self._references), bleu_4

    def of(self, ids: Sequence[str], vocabulary: Vocabulary, captions: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
        """Return the rewards (pictures, samples).

        Args:
            ids: the pictures.
            vocabulary: the captions' vocabulary.
            captions: per picture its samples as numbers, `<start>` ... `<end>`; all pictures have the same number.
        """
        owners = [image_id for image_id, picture in zip(ids, captions, strict=True) for _ in picture]
        tokens = [_words(sample, vocabulary) for picture in captions for sample in picture]
        candidates = Candidates(self._references, owners, tokens)
        rewards = self._cider.scores_of(candidates)
        if self._bleu_4:
            rewards = rewards + self._bleu_4 * bleu(candidates).each()["bleu_4"]
        return rewards.reshape(len(ids), -1)


def _words(sample: Sequence[int], vocabulary: Vocabulary) -> list[str]:
    """Return a sample's words, including `<end>` if the sample has it."""
    words = vocabulary.decode(sample[1:])
    if vocabulary.merges is not None:  # pieces, which form words
        words = words_of(vocabulary.to_text(words), vocabulary.rules) if words else []
    return [*words, _END] if sample[-1] == END else words
