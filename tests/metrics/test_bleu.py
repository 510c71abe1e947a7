import random

import pytest
from nltk.translate.bleu_score import corpus_bleu

from captioner.metrics.bleu import bleu, match
from tests.metrics.made_up import BLEU, CANDIDATES, REFERENCES


def test_the_evaluation_codes_scores_are_met() -> None:
    corpus, per_image = bleu(CANDIDATES, REFERENCES)
    assert tuple(corpus) == ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
    for image_id, scores in {"corpus": corpus, **per_image}.items():
        assert tuple(scores.values()) == pytest.approx(BLEU[image_id], abs=1e-9)


def test_the_corpus_score_is_nltks() -> None:
    draw = random.Random(1)
    words = ["a", "dog", "the", "cat"]
    references = {str(n): [draw.choices(words, k=draw.randint(4, 14)) for _ in range(3)] for n in range(40)}
    candidates = {image_id: draw.choices(words, k=draw.randint(4, 14)) for image_id in references}
    corpus, _ = bleu(candidates, references)
    for order in range(1, 5):
        expected = corpus_bleu(list(references.values()), list(candidates.values()), weights=[1 / order] * order)
        assert corpus[f"bleu_{order}"] == pytest.approx(expected, abs=1e-6)


def test_a_word_counts_as_often_as_one_reference_holds_it() -> None:
    [found] = match([["the"] * 7], [[["the", "cat", "the"], ["the", "the", "cat"]]])
    assert found.correct == (2, 1, 0, 0)
    assert found.possible == (7, 6, 5, 4)


@pytest.mark.parametrize(("lengths", "closest"), [((4, 6), 4), ((6, 4), 4), ((9, 6), 6), ((5, 4), 5), ((0, 9), 9)])
def test_the_closest_reference_sets_the_length_the_shorter_of_two(lengths: tuple[int, ...], closest: int) -> None:
    [found] = match([["a"] * 5], [[["b"] * length for length in lengths]])
    assert found.closest == closest


def test_a_perfect_candidate_scores_one_and_order_of_pictures_is_nothing() -> None:
    candidates = {image_id: references[0] for image_id, references in REFERENCES.items() if len(references[0]) > 3}
    assert bleu(candidates, REFERENCES)[0]["bleu_4"] == pytest.approx(1)
    backwards = dict(reversed(CANDIDATES.items()))
    assert bleu(backwards, REFERENCES)[0] == bleu(CANDIDATES, REFERENCES)[0]
