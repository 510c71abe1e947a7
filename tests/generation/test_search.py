import itertools

import numpy as np
import pytest
from keras import ops

from captioner.generation.beam import BeamSearch
from captioner.generation.greedy import GreedySearch
from captioner.generation.search import GenerationConfig
from tests.generation.toy import TableDecoder, log_softmax, random_table

WORDS = 9  # four specials and five words


def numpy_of(result):
    return {name: ops.convert_to_numpy(value) for name, value in result.items()}


def beam(decoder, features, beam_size, n=1, **settings):
    config = GenerationConfig(beam_size=beam_size, **settings)
    return numpy_of(BeamSearch(decoder, config, n).predict(features, verbose=0))


def greedy(decoder, features, **settings):
    return numpy_of(GreedySearch(decoder, GenerationConfig(beam_size=1, **settings)).predict(features, verbose=0))


def every_caption(table, features, length):
    """Yield every caption of at most `length` words with its log-probability: what exhaustive search looks at."""
    words = [4, 5, 6, 7, 8]
    log_probs = log_softmax(table + features)
    for size in range(length + 1):
        for body in itertools.product(words, repeat=size):
            tokens = [*body, 2] if size < length else list(body)
            last, total = 1, 0.0
            for position, token in enumerate(tokens):
                total += log_probs[position, last, token]
                last = token
            yield tokens, total


def test_wide_beam_equals_exhaustive_search():
    length = 4
    for seed in range(5):
        table = random_table(length, WORDS, seed)
        features = np.random.default_rng(seed + 50).normal(size=(2, WORDS)).astype("float32")
        found = beam(TableDecoder(table), features, 700, n=3, max_length=length)
        for picture in range(2):
            ranked = sorted(every_caption(table, features[picture], length), key=lambda pair: -pair[1] / len(pair[0]))
            for rank in range(3):
                tokens, log_prob = ranked[rank]
                assert found["tokens"][picture, rank].tolist() == tokens + [0] * (length - len(tokens))
                assert found["log_probs"][picture, rank] == pytest.approx(log_prob, abs=1e-4)


def test_beam_of_one_equals_greedy():
    decoder = TableDecoder(random_table(12, WORDS, 3, end=-1.0))
    features = np.random.default_rng(4).normal(size=(200, WORDS)).astype("float32")
    one, first = beam(decoder, features, 1, max_length=12), greedy(decoder, features, max_length=12)
    np.testing.assert_array_equal(one["tokens"], first["tokens"])
    np.testing.assert_allclose(one["log_probs"], first["log_probs"], atol=1e-5)


def test_a_wider_beam_finds_likelier_captions():
    decoder = TableDecoder(random_table(8, WORDS, 5))
    features = np.random.default_rng(6).normal(size=(100, WORDS)).astype("float32")
    settings = {"max_length": 8, "normalization": "none"}
    narrow, wide = beam(decoder, features, 1, **settings), beam(decoder, features, 30, **settings)
    assert wide["log_probs"].mean() > narrow["log_probs"].mean() + 0.1


def test_specials_are_never_emitted():
    table = random_table(6, WORDS, 7)
    table[:, :, [0, 1, 3]] += 50.0
    for result in (
        beam(TableDecoder(table), np.zeros((1, WORDS), "float32"), 3, max_length=6),
        greedy(TableDecoder(table), np.zeros((1, WORDS), "float32"), max_length=6),
    ):
        caption = result["tokens"][0, 0][: result["lengths"][0, 0]]
        assert not set(caption.tolist()) & {0, 1, 3}


def test_a_model_that_never_ends_returns_max_length_words():
    table = random_table(6, WORDS, 8, end=-60.0)
    result = beam(TableDecoder(table), np.zeros((2, WORDS), "float32"), 4, max_length=6)
    assert (result["lengths"] == 6).all()
    assert (result["tokens"] >= 4).all()


def test_log_probs_are_the_sum_over_the_words_of_the_caption():
    table = random_table(10, WORDS, 9)
    features = np.random.default_rng(1).normal(size=(5, WORDS)).astype("float32")
    result = beam(TableDecoder(table), features, 5, n=5, max_length=10)
    for picture, rank in itertools.product(range(5), range(5)):
        log_probs = log_softmax(table + features[picture])
        last, total = 1, 0.0
        for position, token in enumerate(result["tokens"][picture, rank][: result["lengths"][picture, rank]]):
            total += log_probs[position, last, token]
            last = token
        assert result["log_probs"][picture, rank] == pytest.approx(total, abs=1e-3)


def test_a_batch_equals_single_calls():
    decoder = TableDecoder(random_table(10, WORDS, 10))
    features = np.random.default_rng(2).normal(size=(7, WORDS)).astype("float32")
    batch = beam(decoder, features, 3, n=2, max_length=10)
    for row in range(7):
        single = beam(decoder, features[row : row + 1], 3, n=2, max_length=10)
        np.testing.assert_array_equal(single["tokens"][0], batch["tokens"][row])


def test_wu_penalty_prefers_longer_captions_as_it_grows():
    decoder = TableDecoder(random_table(12, WORDS, 11))
    features = np.random.default_rng(3).normal(size=(50, WORDS)).astype("float32")
    lengths = [
        beam(decoder, features, 5, max_length=12, normalization="wu", length_penalty=penalty)["lengths"].mean()
        for penalty in (0.0, 1.0, 3.0)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_attention_follows_its_hypothesis():
    decoder = TableDecoder(random_table(6, WORDS, 12), regions=WORDS)
    features = np.random.default_rng(5).normal(size=(4, WORDS)).astype("float32")
    result = beam(decoder, features, 3, n=2, max_length=6)
    for picture, rank in itertools.product(range(4), range(2)):
        read = [1, *result["tokens"][picture, rank][: result["lengths"][picture, rank] - 1]]
        looked = result["attention"][picture, rank][: len(read)].argmax(axis=-1)
        assert looked.tolist() == [int(token) for token in read]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam_size": 0}, "beam_size must be 1 or more"),
        ({"max_length": 0}, "max_length must be 1 or more"),
        ({"length_penalty": -1.0}, "length_penalty must be 0 or more"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**settings)


def test_more_captions_than_beams_is_refused():
    with pytest.raises(ValueError, match="n must be between 1 and the beam size 2, found 3"):
        BeamSearch(TableDecoder(random_table(2, WORDS)), GenerationConfig(beam_size=2), n=3)
