import numpy as np
import pytest
from keras import ops

from captioner.generation.config import GenerationConfig
from captioner.generation.decode import make_search
from captioner.generation.sampling import invert
from tests.generation.toy import TableDecoder, random_features, random_table, run, search

SAMPLES = 20_000
ALLOWED = [2, 4, 5, 6, 7, 8]


def distribution(logits, temperature=1.0, top_k=0, top_p=1.0):
    """Return the probabilities that words are to be drawn by."""
    probabilities = np.zeros(len(logits))
    probabilities[ALLOWED] = np.exp(np.asarray(logits, "float64")[ALLOWED] / temperature)
    order = np.argsort(-probabilities)
    if top_k:
        probabilities[order[top_k:]] = 0
    probabilities /= probabilities.sum()
    mass_before = np.cumsum(probabilities[order]) - probabilities[order]
    probabilities[order[mass_before >= top_p]] = 0
    return probabilities / probabilities.sum()


def assert_drawn_from(counts, probabilities):
    """Check counts by a chi-square bound: 28 is passed once in 40,000 times at five degrees of freedom."""
    assert (counts[probabilities == 0] == 0).all()
    expected = counts.sum() * probabilities[probabilities > 0]
    assert ((counts[probabilities > 0] - expected) ** 2 / expected).sum() < 28


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 3},
        {"top_k": 1},
        {"top_p": 0.6},
        {"top_p": 1e-9},
        {"top_p": 0.8, "temperature": 3.0},
        {"top_k": 4, "top_p": 0.7},
    ],
)
def test_words_come_as_often_as_their_probability_says(settings):
    table = random_table(2, seed=8)
    features = random_features(1, seed=9)
    found = search(TableDecoder(table), features, SAMPLES, sampling=True, max_length=2, seed=3, **settings)
    tokens = found["tokens"][0]  # (samples, 2)
    first = distribution(table[0, 1] + features[0], **settings)
    assert_drawn_from(np.bincount(tokens[:, 0], minlength=9), first)
    likeliest = int(np.argmax(np.where(np.arange(9) >= 4, first, 0)))
    if first[likeliest] > 0:
        after = tokens[tokens[:, 0] == likeliest, 1]
        assert_drawn_from(np.bincount(after, minlength=9), distribution(table[1, likeliest] + features[0], **settings))


def test_the_nucleus_is_the_smallest_set_with_the_mass():
    table = np.full((1, 9, 9), -50.0, "float32")
    table[0, 1, [4, 5, 6, 7, 8]] = np.log([0.4, 0.3, 0.15, 0.1, 0.05])
    for top_p, kept in ((0.3, {4}), (0.41, {4, 5}), (0.69, {4, 5}), (0.71, {4, 5, 6}), (0.96, {4, 5, 6, 7, 8})):
        found = search(TableDecoder(table), np.zeros((1, 9), "f"), 2000, sampling=True, top_p=top_p, max_length=1)
        assert set(found["tokens"].ravel()) == kept


def test_the_same_seed_gives_the_same_captions():
    decoder, features = TableDecoder(random_table(8, seed=1)), random_features(5)
    once = search(decoder, features, 3, sampling=True, max_length=8, seed=4)
    again = search(decoder, features, 3, sampling=True, max_length=8, seed=4)
    other = search(decoder, features, 3, sampling=True, max_length=8, seed=5)
    np.testing.assert_array_equal(once["tokens"], again["tokens"])
    assert (once["tokens"] != other["tokens"]).any()
    made = make_search(decoder, GenerationConfig(sampling=True, max_length=8, seed=4), 3)
    np.testing.assert_array_equal(made(features)["tokens"], made(features)["tokens"])  # drawn by the backend


def test_equal_pictures_get_draws_of_their_own():
    found = search(TableDecoder(random_table(8, seed=1)), np.zeros((50, 9), "float32"), sampling=True, max_length=8)
    assert len(np.unique(found["tokens"], axis=0)) > 25


def test_samples_stand_by_their_log_probability():
    found = search(
        TableDecoder(random_table(8, seed=1)), random_features(9), 6, sampling=True, max_length=8, normalization="none"
    )
    assert (np.diff(found["log_probs"], axis=1) <= 0).all()


def test_more_samples_than_beams():
    made = make_search(TableDecoder(random_table(3)), GenerationConfig(sampling=True, beam_size=2, max_length=3), 7)
    assert run(made, random_features(2))["tokens"].shape == (2, 7, 3)


@pytest.mark.parametrize("places", [1, 5, 64, 65, 3000])
def test_inverting_a_cumulative_distribution(places):
    rng = np.random.default_rng(places)
    weights = rng.random((4, places)).astype("float32") * (rng.random((4, places)) > 0.5)
    weights[:, -1] = 1.0
    weights[1] = 0.0
    weights[1, places // 2] = 1e-12
    draws = rng.random((4, 200)).astype("float32")
    draws[:, 0], draws[:, 1] = 0.0, np.float32(1 - 2**-24)
    found = ops.convert_to_numpy(invert(ops.convert_to_tensor(weights), ops.convert_to_tensor(draws)))
    assert (np.take_along_axis(weights, found, axis=1) > 0).all()
    upto = np.cumsum(weights.astype("float64"), axis=1)
    upto /= upto[:, -1:]
    error = 1e-5
    for row in range(4):
        lower = np.r_[0.0, upto[row]][found[row]]
        assert (lower <= draws[row] + error).all() and (draws[row] <= upto[row][found[row]] + error).all()
