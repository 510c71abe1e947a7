import numpy as np
import pytest

from captioner.export.largest import TOGETHER, top


@pytest.mark.parametrize("width", [3, 2 * 3 * TOGETHER - 1, 2 * 3 * TOGETHER, 1000])
def test_the_largest_of_each_row_come_first_and_ties_by_place(width):
    values = np.random.default_rng(width).normal(size=(7, width)).astype("float32")
    values[0, :] = -1e9  # a row in which all is impossible but one
    values[0, -1] = 0.5
    values[1, [0, width // 2, width - 1]] = 50.0
    found, places = top(values, 3)
    order = np.argsort(-values, axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(found, np.take_along_axis(values, order, axis=1))
    np.testing.assert_array_equal(places[1:], order[1:])
    assert places[0, 0] == width - 1
