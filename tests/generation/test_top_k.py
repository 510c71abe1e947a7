import numpy as np
import pytest
from keras import ops

from captioner.generation.top_k import top_k


@pytest.mark.parametrize("words", [9, 64, 1000, 2543, 7579])
@pytest.mark.parametrize("count", [1, 5, 12])
@pytest.mark.parametrize("forbidden", [(0, 1, 3), (0, 1, 3, 5, 4, 8), tuple(range(9))])
def test_equals_sorting_the_whole_vocabulary(words, count, forbidden):
    if words <= len(forbidden):
        forbidden = forbidden[:4]
    logits = np.random.default_rng(words + count).normal(size=(7, words)).astype("float32")
    logits[:, list(forbidden)] += 5.0  # they would win
    logits[2, :64] += 3.0  # many of the best in one block
    best, found = map(ops.convert_to_numpy, top_k(ops.convert_to_tensor(logits), count, forbidden))
    allowed = logits.copy()
    allowed[:, list(forbidden)] = -np.inf
    expected = np.argsort(-allowed, axis=1)[:, :count]
    possible = min(count, words - len(forbidden))
    np.testing.assert_array_equal(found[:, :possible], expected[:, :possible])
    np.testing.assert_array_equal(best[:, :possible], np.take_along_axis(logits, expected, axis=1)[:, :possible])
    assert (best[:, possible:] < -1e8).all()


def test_forbidden_words_of_many_blocks():
    logits = np.random.default_rng(0).normal(size=(5, 7000)).astype("float32")
    forbidden = tuple(range(1, 7000, 65))
    logits[:, list(forbidden)] += 9.0
    _, found = top_k(ops.convert_to_tensor(logits), 5, forbidden)
    logits[:, list(forbidden)] = -np.inf
    np.testing.assert_array_equal(ops.convert_to_numpy(found), np.argsort(-logits, axis=1)[:, :5])
