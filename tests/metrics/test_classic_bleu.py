import random
import warnings

import pytest
from nltk.translate.bleu_score import corpus_bleu

from captioner.metrics.classic_bleu import classic_bleu
from tests.metrics.made_up import beside

# As the tutorials call NLTK.
WEIGHTS = {
    "classic_bleu_1": (1.0, 0, 0, 0),
    "classic_bleu_2": (0.5, 0.5, 0, 0),
    "classic_bleu_3": (0.3, 0.3, 0.3, 0),
    "classic_bleu_4": (0.25, 0.25, 0.25, 0.25),
}


def framed(words: list[str]) -> list[str]:
    return ["startseq", *words, "endseq"]


def test_the_tutorials_call_of_nltk_is_met() -> None:
    draw = random.Random(2)
    words = ["dog", "the", "cat", "runs", "on", "green", "grass"]
    references = {str(n): [draw.choices(words, k=draw.randint(3, 9)) for _ in range(5)] for n in range(30)}
    candidates = {image_id: draw.choices(words, k=draw.randint(1, 9)) for image_id in references}
    given = [[framed(words) for words in several] for several in references.values()]
    found = [framed(words) for words in candidates.values()]
    statistics = classic_bleu(beside(candidates, references))
    corpus = statistics.corpus()
    for key, weights in WEIGHTS.items():
        assert corpus[key] == pytest.approx(corpus_bleu(given, found, weights=weights), abs=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nltk warns of every candidate without a match
            alone = [
                corpus_bleu([several], [words], weights=weights) for several, words in zip(given, found, strict=True)
            ]
        assert statistics.each()[key].tolist() == pytest.approx(alone, abs=1e-9)


def test_an_empty_candidate_still_matches_start_and_end() -> None:
    corpus = classic_bleu(beside({"a": []}, {"a": [["dog", "runs"]]})).corpus()
    assert 0 < corpus["classic_bleu_1"] < 1
    assert corpus["classic_bleu_4"] == 0
