"""Views of pictures: mirrored, in part, the same each time."""

import numpy as np
import pytest

from captioner.images.views import VIEWS, is_mirrored, look


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def test_the_whole_and_the_mirrored(picture):
    np.testing.assert_array_equal(look(picture, "whole"), picture)
    np.testing.assert_array_equal(look(picture, "flip"), picture[:, ::-1])
    assert [view for view in VIEWS if is_mirrored(view)] == ["flip", "flip-crop"]


@pytest.mark.parametrize("view", ["crop", "flip-crop"])
def test_a_crop_is_a_part_and_the_same_each_time(picture, view):
    found = look(picture, view)
    np.testing.assert_array_equal(found, look(picture, view))
    upright = found[:, ::-1] if view == "flip-crop" else found
    rows, columns = upright.shape[:2]
    places = [
        (top, left)
        for top in range(60 - rows + 1)
        for left in range(90 - columns + 1)
        if np.array_equal(picture[top : top + rows, left : left + columns], upright)
    ]
    assert places
    assert 0.35 < rows * columns / 5400 <= 1


def test_two_pictures_have_crops_of_their_own(picture):
    shapes = {look(np.roll(picture, shift, axis=0), "crop").shape for shift in range(12)}
    assert len(shapes) > 6


def test_the_smallest_picture():
    dot = np.zeros((1, 1, 3), np.uint8)
    assert all(look(dot, view).shape == (1, 1, 3) for view in VIEWS)
