import pytest

from captioner.metrics.cider import CiderD, cider
from tests.metrics.made_up import CANDIDATES, CIDER_D, REFERENCES


def test_the_evaluation_codes_scores_are_met() -> None:
    corpus, per_image = cider(CANDIDATES, REFERENCES)
    for image_id, scores in {"corpus": corpus, **per_image}.items():
        assert scores == {"cider_d": pytest.approx(CIDER_D[image_id], abs=1e-9)}


def test_only_the_candidates_references_are_counted() -> None:
    extra = {**REFERENCES, "e": [["a", "dog", "runs"]]}
    assert cider(CANDIDATES, extra) == cider(CANDIDATES, REFERENCES)


def test_a_single_picture_scores_zero() -> None:
    assert cider({"a": CANDIDATES["a"]}, REFERENCES) == ({"cider_d": 0.0}, {"a": {"cider_d": 0.0}})


def test_the_only_reference_itself_scores_ten() -> None:
    [reference] = REFERENCES["c"]
    assert cider({**CANDIDATES, "c": reference}, REFERENCES)[1]["c"]["cider_d"] == pytest.approx(10)


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
