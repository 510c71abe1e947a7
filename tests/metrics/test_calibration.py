import numpy as np
import pytest

from captioner.config import build, to_settings
from captioner.metrics.calibration import Calibration, area_under_curve, fit, reliability, spearman


def captions(count, seed=0, noise=0.3):
    """Captions whose score rises with their log-probability per word."""
    draw = np.random.default_rng(seed)
    words = draw.integers(4, 15, count)
    per_word = draw.uniform(-3, -0.5, count)
    return per_word * (words + 1), words, np.maximum(0, per_word + 3 + draw.normal(0, noise, count))


def test_the_chance_of_a_good_caption():
    found = fit(*captions(2000))
    assert found.captions == 2000
    assert found.confidence(-0.6 * 9, 8) > 0.9 > 0.1 > found.confidence(-2.9 * 9, 8)
    log_probs, words, scores = captions(2000, seed=1)  # others than it was fitted on
    sure = [found.confidence(*each) for each in zip(log_probs, words.tolist(), strict=True)]
    curve = reliability(sure, scores, found.threshold)
    assert curve.error < 0.05 and curve.rho > 0.9 and sum(each.captions for each in curve.bins) == 2000
    assert [each.confidence for each in curve.bins] == sorted(each.confidence for each in curve.bins)


def test_log_probabilities_that_say_nothing_leave_everything_at_one_half():
    log_probs, words, _ = captions(2000)
    found = fit(log_probs, words, np.random.default_rng(2).uniform(0, 1, 2000))
    assert all(0.4 < found.confidence(*each) < 0.6 for each in zip(log_probs, words.tolist(), strict=True))


def test_kinds_that_can_be_told_apart_without_a_mistake_keep_the_weights_finite():
    found = fit(*captions(200, noise=0))
    assert np.isfinite([found.bias, found.per_word, found.words]).all() and 0 < found.confidence(-30.0, 5) < 0.5


def test_a_strange_picture_lowers_the_confidence_and_leaves_that_of_familiar_ones():
    log_probs, words, scores = captions(2000)
    plain, found = fit(log_probs, words, scores), fit(log_probs, words, scores, np.zeros(2000))
    assert found.confidence(-9.0, 8) == plain.confidence(-9.0, 8)
    sure = [found.confidence(-9.0, 8, strangeness) for strangeness in (0.0, 1.0, 4.0)]
    logits = np.log(sure) - np.log1p(-np.array(sure))
    np.testing.assert_allclose(np.diff(logits), [-0.2, -0.6], atol=1e-9)
    assert plain.confidence(-9.0, 8, 4.0) == plain.confidence(-9.0, 8)  # fitted where strangeness was not known


def test_the_fit_takes_strangeness_into_account():
    """All pictures are equally strange: what strangeness takes away, the bias gives back."""
    log_probs, words, scores = captions(2000)
    plain, found = fit(log_probs, words, scores), fit(log_probs, words, scores, np.full(2000, 3.0))
    assert found.confidence(-9.0, 8, 3.0) == pytest.approx(plain.confidence(-9.0, 8), abs=1e-4)


def test_the_fit_learns_what_consensus_says():
    """Nothing else tells good captions from bad ones."""
    rng = np.random.default_rng(0)
    agreement = rng.uniform(0, 3, 2000)
    scores = agreement + 0.5 * rng.normal(size=2000)
    found = fit(np.full(2000, -9.0), np.full(2000, 8), scores, consensus=agreement)
    assert found.consensus > 1 and found.per_word == pytest.approx(0, abs=1e-6)
    assert found.confidence(-9.0, 8, consensus=3.0) > 0.9 > 0.1 > found.confidence(-9.0, 8, consensus=0.0)
    assert fit(np.full(2000, -9.0), np.full(2000, 8), scores).consensus == 0


@pytest.mark.parametrize("scores", [np.zeros(100), np.zeros(0), np.ones(20)])
def test_too_little_to_learn_from(scores):
    assert fit(-np.ones(len(scores)), np.full(len(scores), 5), scores) is None
    assert reliability([0.5] * 5, [1.0] * 5, 0.5) is None


def test_an_empty_caption_and_an_impossible_one_are_worth_nothing():
    found = fit(*captions(200))
    assert found.confidence(-1.0, 0) == found.confidence(float("-inf"), 3) == 0.0
    assert build(Calibration, to_settings(found)) == found


def test_spearman_and_area_by_hand():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(0.866, abs=1e-3)  # the first two share the rank 1.5
    assert spearman([1, 1], [1, 2]) == 0
    assert area_under_curve([3, 2], [1, 2]) == 0.875  # 3 > 1, 3 > 2, 2 > 1, and 2 = 2 counts half
