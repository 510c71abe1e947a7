import itertools
import random

import pytest

from captioner.metrics.rouge import rouge, rouge_l
from tests.metrics.made_up import CANDIDATES, REFERENCES, ROUGE_L, beside, per_image


def test_the_evaluation_codes_scores_are_met() -> None:
    statistics = rouge(beside(CANDIDATES, REFERENCES))
    for image_id, scores in {"corpus": statistics.corpus(), **per_image(statistics, CANDIDATES)}.items():
        assert scores == {"rouge_l": pytest.approx(ROUGE_L[image_id], abs=1e-9)}


def common(first: list[str], second: list[str]) -> int:
    """The longest common subsequence by its definition."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, j in itertools.product(range(len(first)), range(len(second))):
        step = table[i][j] + 1
        table[i + 1][j + 1] = step if first[i] == second[j] else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_the_common_subsequence_is_the_tables() -> None:
    draw = random.Random(3)
    for _ in range(300):
        first, second = (draw.choices("abcd", k=draw.randint(1, 70)) for _ in range(2))
        precision, recall = common(first, second) / len(first), common(first, second) / len(second)
        expected = 2.44 * precision * recall / (recall + 1.44 * precision) if precision else 0
        assert rouge_l(first, [second]) == pytest.approx(expected)


def test_precision_and_recall_each_come_from_their_best_reference() -> None:
    short, long = ["a", "b"], ["a", "x", "b", "y", "c", "z"]
    assert rouge_l(["a", "b", "c"], [short, long]) == pytest.approx(1.0)


@pytest.mark.parametrize(("candidate", "references", "score"), [([], [["a"]], 0), (["a"], [[]], 0), ([], [[]], 1)])
def test_no_tokens_are_one_empty_token(candidate: list[str], references: list[list[str]], score: float) -> None:
    assert rouge_l(candidate, references) == score
