import numpy as np
import pytest

from captioner.metrics.bleu import bleu
from captioner.metrics.bootstrap import differences, intervals
from captioner.metrics.rouge import rouge
from captioner.metrics.statistics import means
from tests.metrics.made_up import beside


def drawn(pictures, mean, seed=0):
    """Scores of so many pictures about a mean, with a spread of one."""
    return np.random.default_rng(seed).normal(mean, 1, pictures)


def test_the_interval_of_a_mean_is_the_textbooks():
    values = drawn(400, 5)
    low, high = intervals([means({"x": values})], resamples=4000)["x"]
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.012)


def test_it_holds_the_truth_about_as_often_as_it_says():
    found = [intervals([means({"x": drawn(100, 3, seed)})], resamples=400)["x"] for seed in range(200)]
    held = np.mean([low <= 3 <= high for low, high in found])
    assert 0.88 < held < 0.99


def test_corpus_scores_are_drawn_as_corpora():
    """A resample by hand: BLEU of a corpus that holds pictures several times is not a mean of pictures."""
    rng = np.random.default_rng(1)
    words = np.array(["a", "dog", "cat", "the", "runs"])
    references = {str(n): [list(rng.choice(words, 8))] for n in range(30)}
    candidates = {image_id: list(rng.choice(words, 6)) for image_id in references}
    statistics = [bleu(beside(candidates, references)), rouge(beside(candidates, references))]
    scores = []
    for picks in np.random.default_rng(0).integers(0, 30, (50, 30)):
        ids = [f"{place} {pick}" for place, pick in enumerate(picks)]
        again = {name: candidates[name.split()[1]] for name in ids}
        given = {name: references[name.split()[1]] for name in ids}
        scores.append(bleu(beside(again, given)).corpus()["bleu_2"])
    assert intervals(statistics, resamples=50)["bleu_2"] == pytest.approx(np.quantile(scores, [0.025, 0.975]))


def test_the_seed_decides_the_draws():
    statistics = [means({"x": drawn(50, 0)})]
    assert intervals(statistics, seed=1) == intervals(statistics, seed=1) != intervals(statistics, seed=2)


def test_a_single_picture_has_an_interval_without_width():
    assert intervals([means({"x": np.array([0.5])})])["x"] == (0.5, 0.5)


def test_a_system_does_not_differ_from_itself():
    statistics = [means({"x": drawn(100, 0)})]
    [found] = differences(statistics, statistics).values()
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_p_is_that_of_every_exchange_of_captions():
    """Eight pictures: the exact test goes through all 256 ways to exchange them."""
    first, second = drawn(8, 0), drawn(8, 0.6, seed=3)
    signs = 1 - 2 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
    moved = abs((signs * (second - first)).mean(axis=1))
    exact = (moved >= abs((second - first).mean()) - 1e-12).mean()
    [found] = differences([means({"x": first})], [means({"x": second})], trials=20_000).values()
    assert found.p == pytest.approx(exact, abs=0.015)
    assert (found.first, found.second) == pytest.approx((first.mean(), second.mean()))


def test_small_differences_of_like_pictures_show_because_they_are_paired():
    first = drawn(200, 0)
    second = first + 0.1 + 0.2 * drawn(200, 0, seed=1)
    [paired] = differences([means({"x": first})], [means({"x": second})]).values()
    [apart] = differences([means({"x": first})], [means({"x": drawn(200, 0.1, seed=2)})]).values()
    assert 0 < paired.low < 0.1 < paired.high < 0.2 and paired.p < 0.001
    assert apart.low < 0 < apart.high and apart.p > 0.05


def test_chance_is_called_a_difference_as_often_as_it_should_be():
    found = []
    for seed in range(200):
        first, second = drawn(60, 0, 2 * seed), drawn(60, 0, 2 * seed + 1)
        [one] = differences([means({"x": first})], [means({"x": second})], resamples=10, trials=300).values()
        found.append(one.p)
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.1
