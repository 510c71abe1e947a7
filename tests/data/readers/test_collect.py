import pytest

from captioner.data.readers.collect import Row, collect
from captioner.storage import DataError


def test_rows_are_grouped_by_picture_whatever_it_is_called() -> None:
    rows = [Row("b.jpg", ["One "]), Row("a.jpg", ["Two"], "val"), Row("b.jpg#1", ["Three"], "train")]
    captions = collect("x", rows)
    assert captions.references == {"b": ("One", "Three"), "a": ("Two",)}
    assert captions.splits == {"dev": ("a",), "train": ("b",)}
    with pytest.raises(DataError, match="x: contains no captions"):
        collect("x", [])


def test_marks_are_taken_off_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row("a", ["<start> a dog <end>"]), Row("b", ["<start> a cat <end>"])]
    for _ in range(2):
        assert collect("marked.txt", rows).references == {"a": ("a dog",), "b": ("a cat",)}
    (record,) = caplog.records
    assert record.getMessage() == (
        "marked.txt: 2 of 2 captions begin with '<start>' and end with '<end>'; "
        "these marks are not words and are removed"
    )


def test_captions_of_single_words_are_no_lists_of_words_beside_others() -> None:
    rows = [Row("a", ["dog", "puppy"], listed=True), Row("b", ["a cat", "cat"], listed=True)]
    assert collect("x", rows).references == {"a": ("dog", "puppy"), "b": ("a cat", "cat")}
    assert collect("y", rows[:1]).references == {"a": ("dog puppy",)}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (Row("a" * 5000, ["a dog"]), "is not the name of a picture"),
        (Row("", ["a dog"]), "'' is not the name of a picture"),
        (Row("a\0.jpg", ["a dog"]), "is not the name of a picture"),
        (Row("a.jpg", ["a \0 dog"]), "a caption of 'a.jpg' contains a zero byte"),
        (Row("a.jpg", ["a" * 200_000]), "a caption of 'a.jpg' has 200,000 characters"),
    ],
)
def test_names_and_captions_that_can_be_none(row, fault):
    with pytest.raises(DataError, match=fault):
        collect("a.json", [row])
