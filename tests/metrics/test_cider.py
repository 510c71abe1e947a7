import numpy as np
import pytest

from captioner.metrics.cider import CiderD, Frequencies, cider
from captioner.metrics.matching import References
from tests.metrics.made_up import CANDIDATES, CIDER_D, REFERENCES, beside, per_image


def test_the_evaluation_codes_scores_are_met() -> None:
    statistics = cider(beside(CANDIDATES, REFERENCES))
    for image_id, scores in {"corpus": statistics.corpus(), **per_image(statistics, CANDIDATES)}.items():
        assert scores == {"cider_d": pytest.approx(CIDER_D[image_id], abs=1e-9)}


def test_a_single_picture_scores_zero() -> None:
    assert cider(beside({"a": CANDIDATES["a"]}, REFERENCES)).corpus() == {"cider_d": 0.0}


def test_the_only_reference_itself_scores_ten() -> None:
    [reference] = REFERENCES["c"]
    candidates = {**CANDIDATES, "c": reference}
    assert per_image(cider(beside(candidates, REFERENCES)), candidates)["c"]["cider_d"] == pytest.approx(10)


def test_document_frequencies_may_come_from_elsewhere() -> None:
    alone = beside({"a": CANDIDATES["a"]}, REFERENCES)
    [score] = cider(alone, References(REFERENCES)).each()["cider_d"]
    assert score == pytest.approx(CIDER_D["a"], abs=1e-9)
    nothing_shared = References({str(number): [["xyzzy"]] for number in range(50)})
    [rare] = cider(alone, nothing_shared).each()["cider_d"]  # every word as rare as can be
    assert 0 < rare < 10 and rare != pytest.approx(score)


def test_a_words_frequency_is_the_pictures_that_hold_it() -> None:
    """By hand: "dog" is in 2 of 4 pictures, "runs" in 1, and a word of nobody counts as in 1."""
    source = References({"1": [["a", "dog"], ["dog"]], "2": [["dog", "runs"]], "3": [["a"]], "4": [["a"]]})
    given = beside({"x": ["dog", "runs", "home"]}, {"x": [["dog", "runs"]]})
    words = {"dog": np.log(4 / 2), "runs": np.log(4), "home": np.log(4)}
    norm = np.sqrt(sum(weight**2 for weight in words.values())) * np.hypot(words["dog"], words["runs"])
    one = (words["dog"] ** 2 + words["runs"] ** 2) / norm
    two = 1 / np.sqrt(2)  # one pair of two, all equally rare
    expected = 10 / 4 * (one + two) * np.exp(-1 / 72)
    assert cider(given, source).corpus()["cider_d"] == pytest.approx(expected, abs=1e-12)


def test_a_caption_of_one_word_is_shorter_than_one_of_two() -> None:
    """By hand: the length is that in pairs of words, 0 and 1."""
    source = References({"1": [["a", "dog"], ["dog"]], "2": [["dog", "runs"]], "3": [["a"]], "4": [["a"]]})
    given = beside({"x": ["dog"]}, {"x": [["dog", "runs"]]})
    expected = 10 / 4 * np.log(2) / np.hypot(np.log(2), np.log(4)) * np.exp(-1 / 72)
    assert cider(given, source).corpus()["cider_d"] == pytest.approx(expected, abs=1e-12)


def test_many_candidates_score_as_each_alone() -> None:
    scorer = CiderD(REFERENCES)
    ids = [*CANDIDATES, *CANDIDATES, "a"]
    candidates = [*CANDIDATES.values(), *CANDIDATES.values(), ["a", "dog"]]
    together = scorer.scores(ids, candidates)
    alone = [scorer.scores([image_id], [words])[0] for image_id, words in zip(ids, candidates, strict=True)]
    assert together.tolist() == pytest.approx(alone)
    assert together[:4].tolist() == pytest.approx([CIDER_D[image_id] for image_id in CANDIDATES])
    assert 0 < together[-1] < 10


def test_no_candidates_have_no_scores_and_a_strange_picture_is_refused() -> None:
    assert CiderD(REFERENCES).scores([], []).shape == (0,)
    with pytest.raises(KeyError, match="z"):
        CiderD(REFERENCES).scores(["z"], [["a"]])


def test_document_frequencies_may_be_given() -> None:
    """All n-grams of the references, with the number of pictures that contain them."""
    counts: dict[str, int] = {}
    for several in REFERENCES.values():
        own = {
            " ".join(words[start : start + length])
            for words in (" ".join(caption).split() for caption in several)
            for length in range(1, 5)
            for start in range(len(words) - length + 1)
        }
        counts |= {text: counts.get(text, 0) + 1 for text in own}
    given = Frequencies.of_words(len(REFERENCES), counts)
    ids = list(CANDIDATES)
    found = CiderD(REFERENCES, given).scores(ids, list(CANDIDATES.values()))
    assert found.tolist() == pytest.approx([CIDER_D[image_id] for image_id in ids])
    odd = Frequencies.of_words(len(REFERENCES), {**counts, "five words are too many": 3, "a\u00a0b": 2, "": 1})
    assert CiderD(REFERENCES, odd).scores(ids, list(CANDIDATES.values())).tolist() == found.tolist()
