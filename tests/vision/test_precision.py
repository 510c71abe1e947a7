import time

import numpy as np
import pytest

from captioner.vision.precision import faster, least_cosine


class Stub:
    def __init__(self, seconds, features):
        self.seconds, self.features = seconds, np.float32(features)

    def encode(self, pictures):
        time.sleep(self.seconds)
        return self.features[: len(pictures)]


SAME, OTHER = [[1, 2], [3, 4]], [[1, 2], [4, -3]]


@pytest.mark.parametrize(
    ("wide", "narrow", "takes_narrow"),
    [
        (Stub(0.02, SAME), Stub(0.001, SAME), True),
        (Stub(0.001, SAME), Stub(0.02, SAME), False),
        (Stub(0.02, SAME), Stub(0.001, OTHER), False),
        (Stub(0.02, SAME), Stub(0.001, [[1, 2], [np.nan, 4]]), False),
    ],
)
def test_the_faster_is_taken_if_it_agrees(wide, narrow, takes_narrow):
    said = []
    chosen = faster(wide, narrow, np.zeros((2, 4, 4, 3), np.uint8), said.append)
    assert chosen is (narrow if takes_narrow else wide)
    assert "in float32" in said[0]
    assert ("differ" in said[0]) == (narrow.features.tolist() != SAME)


def test_least_cosine_is_that_of_the_worst_picture():
    assert least_cosine(np.float32(SAME), np.float32(SAME)) == pytest.approx(1)
    assert least_cosine(np.float32(SAME), np.float32(OTHER)) == pytest.approx(0)
    grids = np.ones((2, 3, 4), np.float32)
    assert least_cosine(grids, 2 * grids) == pytest.approx(1)
