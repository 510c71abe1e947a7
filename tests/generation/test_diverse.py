"""Diverse beam search, against its algorithm written out in NumPy."""

import numpy as np
import pytest

from tests.generation.toy import (
    TableDecoder,
    caption_of,
    log_softmax,
    random_features,
    random_table,
    search,
)

LENGTH = 7


def diverse(log_probs, groups, size, diversity):
    """Algorithm 1 of Vijayakumar et al.: the groups' hypotheses as (tokens, log-probability), one list a group."""
    beams = [[((), 0.0)] for _ in range(groups)]
    for position in range(LENGTH):
        times = np.zeros(log_probs.shape[-1])  # how often a word was chosen at this step
        for group in range(groups):
            candidates = []
            for tokens, total in beams[group]:
                if tokens and tokens[-1] == 2:
                    candidates.append((np.inf, tokens, total, None))
                    continue
                last = tokens[-1] if tokens else 1
                for word in (2, 4, 5, 6, 7, 8):
                    after = total + log_probs[position, last, word]
                    candidates.append((after - diversity * times[word], (*tokens, word), after, word))
            candidates.sort(key=lambda candidate: -candidate[0])
            beams[group] = [(tokens, total) for _, tokens, total, _ in candidates[:size]]
            for *_, word in candidates[:size]:
                if word is not None:
                    times[word] += 1
    return beams


@pytest.mark.parametrize(("groups", "size", "diversity"), [(2, 2, 0.5), (3, 1, 1.0), (4, 2, 3.0), (2, 3, 0.0)])
def test_equals_the_algorithm(groups, size, diversity):
    table, features = random_table(LENGTH, seed=groups), random_features(12, seed=size)
    beams = groups * size
    settings = {"beam_size": beams, "groups": groups, "diversity": diversity, "max_length": LENGTH}
    found = search(TableDecoder(table), features, beams, normalization="none", **settings)
    for picture in range(12):
        expected = diverse(log_softmax(table + features[picture]), groups, size, diversity)
        distinct = {caption for group in expected for caption in group}
        ranked = sorted(distinct, key=lambda caption: -caption[1])
        shown = [rank for rank in range(beams) if found["log_probs"][picture, rank] > -1e8]
        assert [caption_of(found, picture, rank) for rank in shown] == [list(tokens) for tokens, _ in ranked]
        np.testing.assert_allclose(found["log_probs"][picture, shown], [total for _, total in ranked], atol=1e-4)


def test_strength_makes_captions_unlike():
    decoder = TableDecoder(random_table(LENGTH, seed=3))
    kinds = {}
    for diversity in (0.0, 1.0, 5.0):
        settings = {"beam_size": 4, "groups": 4, "diversity": diversity, "max_length": LENGTH}
        found = search(decoder, random_features(30), 4, **settings)
        shown = found["log_probs"] > -1e8
        firsts = [len(set(found["tokens"][picture][shown[picture]][:, 0])) for picture in range(30)]
        kinds[diversity] = np.mean(firsts)
    assert kinds[0.0] == 1.0  # every group is the same greedy search
    assert kinds[0.0] < kinds[1.0] < kinds[5.0]
