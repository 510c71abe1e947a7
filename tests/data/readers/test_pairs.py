import json

import pytest

from captioner.data.readers.pairs import CandidatesAndReferences as Found
from captioner.data.readers.pairs import read_pairs
from captioner.storage import DataError


@pytest.fixture
def write(tmp_path):
    def to(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return to


def test_by_image_id(write):
    predictions = write("p.json", json.dumps([{"image_id": 3, "caption": "a dog"}]))
    images = [{"id": 3, "file_name": "train2017/000000000003.jpg"}]
    coco = {"images": images, "annotations": [{"image_id": 3, "caption": "Dog"}]}
    assert read_pairs(predictions, [write("r.json", json.dumps(coco))]) == Found({"3": "a dog"}, {}, {"3": ("Dog",)})
    lines = write("p.txt", "a.jpg a dog\n")
    for text in ("a A dog\na Dogs\n", "a.jpg#0\tA dog\na.jpg#1\tDogs\n"):
        assert read_pairs(lines, [write("r.txt", text)]) == Found({"a": "a dog"}, {}, {"a": ("A dog", "Dogs")})


def test_several_files_with_ids_are_put_together(write):
    first, second = write("1.txt", "a.jpg#0\tA dog\nb.jpg#0\tA cat\n"), write("2.txt", "a.jpg#0\tDogs\n")
    pairs = read_pairs(write("p", "a x\nb y\n"), [first, second])
    assert pairs.references == {"a": ("A dog", "Dogs"), "b": ("A cat",)}


def test_parallel_files_have_a_line_a_candidate(write):
    files = [write("1", "A dog runs\nthe cat\n\nend\n"), write("2", "Dogs run\n\nno\nthe end\n")]
    pairs = read_pairs(write("p", "a dog\n\na  bird\nover\n"), files)
    assert pairs.candidates == {"1": "a dog", "2": "", "3": "a  bird", "4": "over"}
    assert pairs.references == {
        "1": ("A dog runs", "Dogs run"),
        "2": ("the cat",),
        "3": ("no",),
        "4": ("end", "the end"),
    }


def test_a_single_parallel_file_must_be_called_so(write):
    predictions, references = write("p", "the dog\nthe cat\n"), write("r", "A dog\nA cat\n")
    with pytest.raises(DataError, match=r"the has 2 captions; .*plain captions --parallel"):
        read_pairs(predictions, [references])
    assert read_pairs(predictions, [references], parallel=True).references == {"1": ("A dog",), "2": ("A cat",)}


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (
            "a dog\n",
            ["A dog\nA cat\n", "Dogs\n"],
            r"0: has 2 lines, but .*p has 1; files of plain captions need one line for each",
        ),
        (
            "a dog\na cat\n",
            ["A dog\n\n", "Dogs\n\n"],
            "0: line 2 is blank, so this candidate has no ref",
        ),
        ("[]", ["A dog\n", "Dogs\n"], "p: is JSON, but .*0 has plain captions without image_ids"),
        ("\n", ["A dog\n", "Dogs\n"], "p: empty; expected one caption per line"),
        ("a dog\n", ["A dog\n", "\n"], "1: empty"),
    ],
)
def test_files_that_are_not_parallel_are_named(write, predictions, references, message):
    with pytest.raises(DataError, match=message):
        read_pairs(write("p", predictions), [write(str(n), text) for n, text in enumerate(references)])


def test_lists_give_the_best_and_the_others(write):
    entries = [
        {"image_id": 1, "caption": "a", "alternatives": [{"caption": "b"}, {"caption": "c"}]},
        {"image_id": 2, "caption": "d"},
        {"image_id": 2, "caption": "e"},
    ]
    pairs = read_pairs(write("p", json.dumps(entries)), [write("r", "1 x\n2 y\n")], lists=True)
    assert pairs.candidates == {"1": "a", "2": "d"}
    assert pairs.alternatives == {"1": ["b", "c"], "2": ["e"]}
