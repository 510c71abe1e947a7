"""The order of a batch's words: captions with the longest first, and the rows that a step has work with."""

import keras
import numpy as np
import pytest
from keras import ops

from captioner.models.layout import Layout

LENGTHS = [2, 4, 1]
TIME = 4


def longest_first():
    """Return the order of three captions of one picture."""
    places = [row * TIME + step for row, length in enumerate(LENGTHS) for step in range(length)]
    return Layout(ops.convert_to_tensor(np.array(places, "int32")), 1, 3, TIME).longest_first()


def test_words_go_to_their_steps_and_back():
    longest = longest_first()
    words = ops.convert_to_tensor(np.arange(1, 8, dtype="float32")[:, None])  # 1 2 | 3 4 5 6 | 7
    by_time = ops.convert_to_numpy(longest.by_time(words))[..., 0]
    assert by_time.tolist() == [[3, 1, 7], [4, 2, 0], [5, 0, 0], [6, 0, 0]]
    assert ops.convert_to_numpy(longest.in_a_row(longest.by_time(words)))[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_step_has_work_with_the_captions_that_have_not_ended():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow knows shapes that change")
    longest = longest_first()
    rows = {"a": ops.convert_to_tensor([[1.0], [2.0], [3.0]]), "b": (ops.convert_to_tensor([4, 5, 6]),)}
    for step, expected in enumerate([3, 2, 1, 1]):
        working, ended = longest.divide(rows, ops.convert_to_tensor(step))
        assert ops.convert_to_numpy(working["a"])[:, 0].tolist() == [1, 2, 3][:expected]
        assert ops.convert_to_numpy(ended["b"][0]).tolist() == [4, 5, 6][expected:]
        joined, filled = longest.join(working, ended), longest.fill(working)
        assert ops.convert_to_numpy(joined["b"][0]).tolist() == [4, 5, 6]
        assert ops.convert_to_numpy(filled["a"])[:, 0].tolist() == [1, 2, 3][:expected] + [0] * (3 - expected)


def test_where_shapes_cannot_change_a_step_has_work_with_every_caption():
    longest = longest_first()._replace(unended=None)
    rows = ops.convert_to_tensor([[1.0], [2.0], [3.0]])
    working, ended = longest.divide(rows, ops.convert_to_tensor(3))
    assert ops.shape(working) == (3, 1) and ops.shape(ended) == (0, 1)
    assert ops.convert_to_numpy(longest.fill(longest.join(working, ended)))[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("step", [1, 2])
def test_the_gradient_of_both_parts_is_put_together(step):
    tensorflow = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow divides")
    longest, rows = longest_first(), tensorflow.constant([[1.0], [2.0], [3.0]])
    with tensorflow.GradientTape() as tape:
        tape.watch(rows)
        working, ended = longest.divide(rows, tensorflow.constant(step))
        total = 10 * tensorflow.reduce_sum(working) + tensorflow.reduce_sum(ended)
    working_rows = [3, 2, 1][step]
    assert tape.gradient(total, rows).numpy()[:, 0].tolist() == [10] * working_rows + [1] * (3 - working_rows)
