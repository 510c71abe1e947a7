import pytest

from captioner.metrics.matching import Candidates, References

GIVEN = {"a": [["a", "dog"], ["the", "dog", "dog"]], "b": [["a", "cat"]], "c": [["dog"], ["a"], ["cat"]]}


def shared_words(candidates: Candidates) -> list[tuple[int, int, int, int]]:
    """Of every word that a pair shares: candidate, reference, how often either holds it."""
    mine, theirs = candidates.counted[1][0], candidates.references.counted[1][0]
    found = candidates.shared(0)
    return sorted(
        (int(mine.caption[i]), int(theirs.caption[j]), int(mine.times[i]), int(theirs.times[j]))
        for i, j, _ in zip(*found, strict=True)
    )


def test_a_candidate_meets_the_references_of_its_own_picture() -> None:
    candidates = Candidates(References(GIVEN), ["c", "a"], [["a", "a", "dog"], ["dog", "bird"]])
    assert list(zip(candidates.pair_candidate.tolist(), candidates.pair_reference.tolist(), strict=True)) == [
        (0, 3), (0, 4), (0, 5), (1, 0), (1, 1),
    ]  # fmt: skip
    assert shared_words(candidates) == [(0, 3, 1, 1), (0, 4, 2, 1), (1, 0, 1, 1), (1, 1, 1, 2)]
    pairs = candidates.shared(0).pair
    assert sorted(pairs.tolist()) == [0, 1, 3, 4]


def test_several_candidates_may_belong_to_one_picture() -> None:
    candidates = Candidates(References(GIVEN), ["b", "b", "a"], [["a"], ["cat"], ["a"]])
    assert shared_words(candidates) == [(0, 2, 1, 1), (1, 2, 1, 1), (2, 0, 1, 1)]


def test_longer_ngrams_are_shared_too() -> None:
    candidates = Candidates(References(GIVEN), ["a", "b"], [["the", "dog"], ["the", "dog"]])
    assert candidates.shared(1).pair.tolist() == [1]
    assert len(candidates.shared(3).pair) == 0


def test_no_candidates_share_nothing_and_a_strange_picture_is_refused() -> None:
    assert len(Candidates(References(GIVEN), [], []).shared(0).pair) == 0
    with pytest.raises(KeyError, match="z"):
        Candidates(References(GIVEN), ["z"], [["a"]])
