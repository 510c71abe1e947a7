import io
import os
import pickle
from collections import OrderedDict

import pytest

from captioner.pickle_opcodes import PickleMachine
from captioner.pickle_values import BadPickleError, ForeignPickleError, Pairs, Stretch


def load(data, names=()):
    return PickleMachine(io.BytesIO(data), len(data), dict.fromkeys(names)).load()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_of_every_protocol(protocol):
    value = {"a": [1, -1, 300, 70_000, 2**40, -(2**100), 2.5, True, False, None, "ä", (1, (2, 3)), ()], 7: {}}
    pairs = load(pickle.dumps(value, protocol))
    assert isinstance(pairs, Pairs) and isinstance(pairs[1][1], Pairs)
    assert pairs == [("a", value["a"]), (7, [])]


def test_two_pickles_in_one_file():
    file = io.BytesIO(pickle.dumps([1]) + pickle.dumps([2]))
    assert [PickleMachine(file, 99, {}).load() for _ in range(2)] == [[1], [2]]


def test_long_texts_stay_in_the_file():
    text = "ä" * 1000
    data = pickle.dumps([text, text.encode()])
    found, raw = load(data)
    assert isinstance(found, Stretch) and isinstance(raw, Stretch)
    assert data[raw.start : raw.start + raw.length] == text.encode()


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_runs_nothing(tmp_path, protocol):
    mark = tmp_path / "mark"
    with pytest.raises(ForeignPickleError, match=r"it refers to (posix|nt)\.system"):
        load(pickle.dumps({"a": Hostile(mark)}, protocol), [("collections", "OrderedDict")])
    assert not mark.exists()


def test_a_name_below_an_allowed_one_is_refused():
    data = b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93."
    with pytest.raises(ForeignPickleError, match=r"collections\.OrderedDict\.__init__"):
        load(data, [("collections", "OrderedDict")])


def test_an_allowed_name_does_nothing_by_itself():
    with pytest.raises(ForeignPickleError, match=r"collections\.OrderedDict"):
        load(pickle.dumps(OrderedDict()), [("collections", "OrderedDict")])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        pickle.dumps({"a": [1.0] * 99})[:-20],
        b"\x80\x05I",
        b".",
        b"\x80\x09N.",
        b"Nb.",
        b"t.",
        b"}N(s.",
        b"(NN1.",
        b"h\x07.",
        b"g-1\n.",
        b"Nr\xff\xff\xff\xff.",
        b"X\xff\xff\xff\xffabc.",
        b"\x8d" + b"\xff" * 8 + b"abc.",
        b"\x8e" + b"\x7f" * 8 + b"abc.",
        b"T\xff\xff\xff\xffabc.",
        b"\x8b\xff\xff\xff\x7f.",
        b"I" + b"9" * 5000 + b"\n.",
        b"L" + b"9" * 60 + b"L\n.",
        b"cos\n" + b"a" * 10**6 + b"\n.",
        b"S'abc\n.",
        b"\x8c\x01\xff.",
        b"N" * 200_000 + b".",
        b"(" * 200_000 + b".",
        b")" + b"\x85" * 10**6 + b"}N0.",
        b"Q.",
        b"P1\n.",
        b"\x97.",
        b"\x82\x01.",
        b"(i__main__\nX\n.",
    ],
)
def test_a_broken_pickle(data):
    with pytest.raises(BadPickleError, match=r"\w"):
        load(data, [("os", "system")])


def test_many_small_things_are_too_many():
    # each `]` of one byte asks for a list of 56
    with pytest.raises(BadPickleError, match="more memory than a file of its size needs"):
        load(b"]0" * 3 * 10**6 + b"N.")
