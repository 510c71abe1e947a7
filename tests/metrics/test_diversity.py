import pytest

from captioner.metrics.diversity import diversity

CAPTIONS = [caption.split() for caption in ["a dog runs", "a dog runs", "the dog", "cat"]]


def test_by_hand() -> None:
    assert diversity(CAPTIONS) == pytest.approx(
        {"distinct_1": 5 / 9, "distinct_2": 3 / 5, "vocabulary": 5, "mean_length": 9 / 4}
    )


def test_novel_is_what_the_training_does_not_hold_as_a_whole() -> None:
    training = {("a", "dog", "runs"), ("the", "dog", "sleeps")}
    assert diversity(CAPTIONS, training)["novel"] == pytest.approx(2 / 4)
    assert diversity(CAPTIONS, set())["novel"] == 1


def test_a_single_word_is_all_the_variety_there_can_be() -> None:
    assert diversity([["cat"]])["distinct_1"] == diversity([["a", "cat"]])["distinct_2"] == 1


def test_captions_without_words_are_no_variety() -> None:
    assert diversity([[], []], {()}) == {
        "distinct_1": 0, "distinct_2": 0, "vocabulary": 0, "mean_length": 0, "novel": 0,
    }  # fmt: skip
