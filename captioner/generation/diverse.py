"""Diverse beam search: groups of beams; each group avoids words that earlier groups have just chosen."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from captioner.generation.beam import BeamCandidates, BeamSearch, best_of
from captioner.generation.hypotheses import Choice, Hypotheses, Tensor
from captioner.generation.word_rules import IMPOSSIBLE
from captioner.text.vocabulary import PAD


@keras.saving.register_keras_serializable("captioner")
class DiverseBeamSearch(BeamSearch):
    """Beam search in groups of beams (Vijayakumar et al., "Diverse Beam Search", 2018, algorithm 1).

    At every step the groups choose one after another. For this choice only, a word's log-probability is lowered by
    `diversity` for every beam of an earlier group that has chosen the word (the paper's Hamming diversity). The n best
    are ranked by the original log-probabilities; a caption that two groups have found counts once.
    """

    def choose(self, hypotheses: Hypotheses, logits: Tensor, total: Tensor, draws: Any) -> Choice:
        """See Search.choose."""
        candidates = self.candidates(hypotheses, logits, total)
        parents = hypotheses.log_probs.shape[1]
        size = self.beams // self.config.groups
        chosen: list[Choice] = []
        for group in range(self.config.groups):
            # At the first word, all groups start from the only hypothesis.
            begin, end = (group * size, (group + 1) * size) if parents == self.beams else (0, 1)
            own = BeamCandidates(*(values[:, begin:end] for values in candidates))
            open_ones = ~hypotheses.finished[:, begin:end]
            ranks = own.ranks
            for choice in chosen:
                same = own.words[..., None] == choice.words[:, None, None, :]  # (pictures, size, candidates, beams)
                times = ops.sum(ops.cast(same, "float32"), axis=-1) * ops.cast(open_ones, "float32")[:, :, None]
                ranks -= self.config.diversity * times
            choice = best_of(own._replace(ranks=ranks), size)
            choice = choice._replace(parents=choice.parents + begin)
            ended = ops.take_along_axis(hypotheses.finished, choice.parents, axis=1)
            chosen.append(choice._replace(words=ops.where(ended, PAD, choice.words)))  # finished ones choose no word
        return Choice(*(ops.concatenate(parts, axis=1) for parts in zip(*chosen, strict=True)))

    def _scores(self, hypotheses: Hypotheses) -> Tensor:
        """See Search._scores; captions that an earlier beam also has are made impossible."""
        scores = super()._scores(hypotheses)
        tokens = hypotheses.tokens
        same = ops.all(tokens[:, :, None] == tokens[:, None], axis=-1)  # (pictures, beams, beams)
        earlier = ops.tril(ops.ones((self.beams, self.beams)), -1) > 0
        return ops.where(ops.any(ops.logical_and(same, earlier), axis=2), 4 * IMPOSSIBLE, scores)
