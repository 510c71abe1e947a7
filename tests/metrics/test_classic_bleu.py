import random

import pytest
from nltk.translate.bleu_score import corpus_bleu

from captioner.metrics.classic_bleu import WEIGHTS, classic_bleu


def framed(words: list[str]) -> list[str]:
    return ["startseq", *words, "endseq"]


def test_the_tutorials_call_of_nltk_is_met() -> None:
    draw = random.Random(2)
    words = ["dog", "the", "cat", "runs", "on", "green", "grass"]
    references = {str(n): [draw.choices(words, k=draw.randint(3, 9)) for _ in range(5)] for n in range(30)}
    candidates = {image_id: draw.choices(words, k=draw.randint(1, 9)) for image_id in references}
    given = [[framed(words) for words in several] for several in references.values()]
    found = [framed(words) for words in candidates.values()]
    corpus, per_image = classic_bleu(candidates, references)
    for key, weights in WEIGHTS.items():
        assert corpus[key] == pytest.approx(corpus_bleu(given, found, weights=weights), abs=1e-9)
    assert per_image.keys() == candidates.keys()


def test_an_empty_candidate_still_matches_start_and_end() -> None:
    corpus, _ = classic_bleu({"a": []}, {"a": [["dog", "runs"]]})
    assert 0 < corpus["classic_bleu_1"] < 1
    assert corpus["classic_bleu_4"] == 0
