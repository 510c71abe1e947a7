import random

import pytest
from nltk.translate.bleu_score import corpus_bleu

from captioner.metrics.bleu import CLOSEST, CORRECT, POSSIBLE, bleu, match
from tests.metrics.made_up import BLEU, CANDIDATES, REFERENCES, beside, per_image


def test_the_evaluation_codes_scores_are_met() -> None:
    statistics = bleu(beside(CANDIDATES, REFERENCES))
    assert tuple(statistics.corpus()) == ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
    for image_id, scores in {"corpus": statistics.corpus(), **per_image(statistics, CANDIDATES)}.items():
        assert tuple(scores.values()) == pytest.approx(BLEU[image_id], abs=1e-9)


def test_the_corpus_score_is_nltks() -> None:
    draw = random.Random(1)
    words = ["a", "dog", "the", "cat"]
    references = {str(n): [draw.choices(words, k=draw.randint(4, 14)) for _ in range(3)] for n in range(40)}
    candidates = {image_id: draw.choices(words, k=draw.randint(4, 14)) for image_id in references}
    corpus = bleu(beside(candidates, references)).corpus()
    for order in range(1, 5):
        expected = corpus_bleu(list(references.values()), list(candidates.values()), weights=[1 / order] * order)
        assert corpus[f"bleu_{order}"] == pytest.approx(expected, abs=1e-6)


def test_a_word_counts_as_often_as_one_reference_holds_it() -> None:
    [found] = match(beside({"x": ["the"] * 7}, {"x": [["the", "cat", "the"], ["the", "the", "cat"]]}))
    assert found[CORRECT].tolist() == [2, 1, 0, 0]
    assert found[POSSIBLE].tolist() == [7, 6, 5, 4]


@pytest.mark.parametrize(("lengths", "closest"), [((4, 6), 4), ((6, 4), 4), ((9, 6), 6), ((5, 4), 5), ((0, 9), 9)])
def test_the_closest_reference_sets_the_length_the_shorter_of_two(lengths: tuple[int, ...], closest: int) -> None:
    [found] = match(beside({"x": ["a"] * 5}, {"x": [["b"] * length for length in lengths]}))
    assert found[CLOSEST] == closest


def test_a_perfect_candidate_scores_one_and_order_of_pictures_is_nothing() -> None:
    candidates = {image_id: references[0] for image_id, references in REFERENCES.items() if len(references[0]) > 3}
    assert bleu(beside(candidates, REFERENCES)).corpus()["bleu_4"] == pytest.approx(1)
    backwards = dict(reversed(CANDIDATES.items()))
    assert bleu(beside(backwards, REFERENCES)).corpus() == bleu(beside(CANDIDATES, REFERENCES)).corpus()
