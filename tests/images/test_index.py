import numpy as np
import pytest

from captioner.images.index import IdIndex, encode_ids

NAMES = ["b", "a/ü", "c", "a/é", "longer than the others", "a"]


@pytest.mark.parametrize("names", [NAMES, sorted(NAMES)])
def test_ids_are_found_where_they_stand(names):
    ids = IdIndex.of(names)
    assert list(ids) == names
    assert (len(ids), ids[2], ids[-1], ids[1:3]) == (6, names[2], names[-1], names[1:3])
    assert ids.find([*reversed(names), "z", "", "longer than the others, and more"]).tolist() == [
        *(5, 4, 3, 2, 1, 0),
        *(-1, -1, -1),
    ]
    assert "a/ü" in ids
    assert "d" not in ids
    assert 3 not in ids


def test_none_at_all():
    ids = IdIndex.of([])
    assert (list(ids), ids.find(["a"]).tolist(), ids.find([]).tolist(), ids.repeated()) == ([], [-1], [], None)


def test_repeated_ids_are_noticed():
    assert IdIndex.of(NAMES).repeated() is None
    first, second = IdIndex.of(["b", "a", "b"]).repeated()
    assert {first, second} == {0, 2}


def test_bytes_sort_as_texts_do():
    names = ["é", "z", "a", "\U0001f600", "\uffff", "日"]
    assert [name.decode() for name in np.sort(encode_ids(names))] == sorted(names)
