import numpy as np
import pytest

from captioner.data.batches import make_batch
from captioner.data.parts import Part, make_part

CAPTIONS = [
    [[1, 5, 6, 2], [1, 7, 2]],
    [[1, 8, 9, 10, 11, 12, 2]],
    [[1, 5, 2], [1, 6, 2], [1, 7, 2]],
]


def features_of(ids):
    return np.array([[float(name)] for name in ids], "float32")


def parts_of(captions, processes, devices=1, multiple=4):
    ids = [str(number) for number in range(len(captions))]
    parts = [Part(number, processes, devices) for number in range(processes)]
    return [make_part(features_of(part.of(ids)), captions, part, multiple) for part in parts]


@pytest.mark.parametrize(("processes", "devices"), [(1, 1), (2, 1), (3, 1), (2, 2), (1, 3), (5, 1)])
def test_the_parts_are_together_the_batch(processes, devices):
    parts = parts_of(CAPTIONS, processes, devices)
    tokens = np.concatenate([part.tokens for part in parts])
    whole = make_batch(features_of("012"), CAPTIONS)
    pictures, _, time = whole.tokens.shape
    np.testing.assert_array_equal(tokens[:pictures, :, :time], whole.tokens)
    assert not tokens[pictures:].any() and not tokens[:, :, time:].any()
    found = {}
    for part in parts:
        for position, target, weight in zip(part.positions, part.targets, part.weights, strict=True):
            place = np.unravel_index(position, tokens.shape)
            assert place not in found
            found[place] = (target, weight)
    places = zip(*np.unravel_index(whole.positions, whole.tokens.shape), strict=True)
    expected = dict(zip(places, whole.targets, strict=True))
    assert {place: target for place, (target, weight) in found.items() if weight} == expected


@pytest.mark.parametrize(("processes", "devices"), [(2, 1), (3, 2), (2, 3)])
def test_all_parts_have_one_shape_that_goes_evenly_into_the_devices(processes, devices):
    parts = parts_of(CAPTIONS, processes, devices)
    assert len({tuple(array.shape for array in part) for part in parts}) == 1
    assert all(len(array) % devices == 0 for array in parts[0])


def test_a_process_positions_lie_in_its_own_pictures():
    for number, part in enumerate(parts_of(CAPTIONS, 3)):
        assert ((part.positions // part.tokens.size) == number).all()


def test_pictures_that_do_not_go_evenly_are_filled_up_with_the_last_one():
    assert [Part(number, 2, 2).of(list("abcde")) for number in (0, 1)] == [list("abcd"), list("eeee")]
    assert [Part(number, 2, 1).of(list("abcd")) for number in (0, 1)] == [list("ab"), list("cd")]
