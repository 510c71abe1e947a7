import itertools

import pytest

from tests.generation.toy import (
    TableDecoder,
    every_caption,
    log_softmax,
    random_features,
    random_table,
    search,
)

SCORES = {
    ("none", 1.0): lambda total, length: total,
    ("average", 1.0): lambda total, length: total / length,
    ("average", 0.6): lambda total, length: total / length**0.6,
    ("wu", 0.8): lambda total, length: total / ((5 + length) / 6) ** 0.8,
}


@pytest.mark.parametrize("beam_size", [125, 700])
@pytest.mark.parametrize("normalization", SCORES)
def test_a_wide_beam_equals_exhaustive_search(normalization, beam_size):
    length, (name, penalty) = 4, normalization
    table = random_table(length, seed=beam_size)
    features = random_features(4, seed=50)
    settings = {"beam_size": beam_size, "max_length": length, "normalization": name, "length_penalty": penalty}
    found = search(TableDecoder(table), features, 3, **settings)
    for picture in range(4):
        score = SCORES[normalization]
        captions = every_caption(log_softmax(table + features[picture]), length)
        ranked = sorted(captions, key=lambda pair: -score(pair[1], len(pair[0])))
        for rank in range(3):
            tokens, log_prob = ranked[rank]
            assert found["tokens"][picture, rank].tolist() == tokens + [0] * (length - len(tokens))
            assert found["log_probs"][picture, rank] == pytest.approx(log_prob, abs=1e-4)


def test_a_wider_beam_finds_likelier_captions():
    decoder = TableDecoder(random_table(8, seed=5))
    settings = {"max_length": 8, "normalization": "none"}
    narrow = search(decoder, random_features(30, seed=6), beam_size=1, **settings)
    wide = search(decoder, random_features(30, seed=6), beam_size=30, **settings)
    assert wide["log_probs"].mean() > narrow["log_probs"].mean() + 0.1


def test_wu_penalty_prefers_longer_captions_as_it_grows():
    decoder = TableDecoder(random_table(12, seed=11))
    lengths = [
        search(decoder, random_features(30, seed=3), beam_size=5, max_length=12, normalization="wu", length_penalty=p)[
            "lengths"
        ].mean()
        for p in (0.0, 1.0, 3.0)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_finished_hypotheses_never_change():
    """What has ended by a step stands, words and log-probability, among the hypotheses of every later one."""
    table, features = random_table(7, seed=21, end=1.0), random_features(20, seed=22)
    made = [
        search(TableDecoder(table), features, 4, beam_size=4, max_length=length, normalization="none")
        for length in range(1, 8)
    ]
    seen = 0
    for early, late in itertools.pairwise(made):
        for picture in range(20):
            standing = {tuple(tokens[tokens > 0]) for tokens in late["tokens"][picture]}
            for tokens in early["tokens"][picture]:
                if 2 in tokens:
                    assert tuple(tokens[tokens > 0]) in standing
                    seen += 1
    assert seen > 100
