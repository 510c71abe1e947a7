import numpy as np
import pytest

from captioner.metrics.bleu import bleu
from captioner.metrics.matching import Candidates, References
from captioner.metrics.rouge import rouge
from captioner.metrics.statistics import best_of, means
from tests.metrics.made_up import BLEU, CANDIDATES, REFERENCES, ROUGE_L, beside


def test_means_are_means() -> None:
    statistics = means({"x": np.array([1.0, 2.0, 6.0]), "y": np.array([0.0, 0.0, 1.0])})
    assert statistics.corpus() == pytest.approx({"x": 3.0, "y": 1 / 3})
    assert statistics.each()["x"].tolist() == [1, 2, 6]
    assert statistics.take(np.array([0, 2])).corpus() == pytest.approx({"x": 3.5, "y": 0.5})


def test_a_part_scores_as_if_it_stood_alone() -> None:
    part = ["a", "c"]
    whole = bleu(beside(CANDIDATES, REFERENCES))
    chosen = np.array([list(CANDIDATES).index(image_id) for image_id in part])
    alone = bleu(beside({image_id: CANDIDATES[image_id] for image_id in part}, REFERENCES))
    assert whole.take(chosen).corpus() == pytest.approx(alone.corpus())


def test_the_oracle_takes_each_pictures_best_by_each_score() -> None:
    """Lists that hold the made-up candidate and worse ones, in any order, score as the made-up candidates."""
    lists = {
        "a": [["nothing"], CANDIDATES["a"]],
        "b": [CANDIDATES["b"], [], ["no"]],
        "c": [CANDIDATES["c"]],
        "d": [[], []],
    }
    ids = [image_id for image_id, several in lists.items() for _ in several]
    every = Candidates(References(REFERENCES), ids, [words for several in lists.values() for words in several])
    picture = np.array([list(lists).index(image_id) for image_id in ids])
    found: dict[str, float] = {}
    for statistics in (bleu(every), rouge(every)):
        for best in best_of(statistics, picture):
            found |= best.corpus()
    assert tuple(found) == ("oracle_bleu_1", "oracle_bleu_2", "oracle_bleu_3", "oracle_bleu_4", "oracle_rouge_l")
    assert tuple(found.values()) == pytest.approx((*BLEU["corpus"], ROUGE_L["corpus"]), abs=1e-9)


def test_the_best_by_one_score_need_not_be_the_best_by_another() -> None:
    given = References({"a": [["a", "dog", "runs", "fast", "over", "grass"]]})
    every = Candidates(given, ["a", "a"], [["dog", "a", "grass", "fast", "runs", "over"], ["a", "dog", "runs", "fast"]])
    alone = bleu(every).each()
    assert alone["bleu_1"][0] > alone["bleu_1"][1] and alone["bleu_4"][0] < alone["bleu_4"][1]
    found = {key: value for best in best_of(bleu(every), np.array([0, 0])) for key, value in best.corpus().items()}
    assert found["oracle_bleu_1"] == pytest.approx(alone["bleu_1"][0])
    assert found["oracle_bleu_4"] == pytest.approx(alone["bleu_4"][1])
