"""Changes of pictures drawn by chance: the same for the same draw, and each does what it says and no more."""

import numpy as np
import pytest

from captioner.images.augment import CHANGES, augment


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def draws(picture, *changes, count=24):
    return [augment(picture, changes, np.random.default_rng(seed)) for seed in range(count)]


def test_without_changes_a_picture_stays_as_it_is(picture):
    assert all(np.array_equal(found, picture) for found in draws(picture))


def test_about_half_are_mirrored(picture):
    mirrored = [np.array_equal(found, picture[:, ::-1]) for found in draws(picture, "flip")]
    upright = [np.array_equal(found, picture) for found in draws(picture, "flip")]
    assert 6 < sum(mirrored) < 18 and sum(upright) == 24 - sum(mirrored)


def test_crops_keep_half_the_area_or_more(picture):
    shares = [found.shape[0] * found.shape[1] / 5400 for found in draws(picture, "crop")]
    assert 0.35 < min(shares) < 0.8 and max(shares) <= 1
    assert len({found.shape for found in draws(picture, "crop")}) > 12


def test_colors_change_a_little_and_the_places_of_things_do_not():
    picture = np.full((8, 8, 3), (100, 120, 140), np.uint8)
    picture[2:4, 2:4] = 250, 10, 10
    for found in draws(picture, "color"):
        assert found.shape == picture.shape and found.dtype == np.uint8
        assert (found[2:4, 2:4] == found[2, 2]).all() and (found[5:] == found[5, 5]).all()
        assert 50 < found[5, 5].mean() < 200 and found[2, 2, 0] > found[2, 2, 1] + 80
    assert len({tuple(found[5, 5]) for found in draws(picture, "color")}) > 12


def test_the_same_draw_gives_the_same_picture(picture):
    for one, other in zip(draws(picture, *CHANGES), draws(picture, *CHANGES), strict=True):
        np.testing.assert_array_equal(one, other)
