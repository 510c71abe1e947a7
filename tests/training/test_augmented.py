"""Training pictures that are changed and encoded while training runs."""

import numpy as np
import pytest
from PIL import Image

from captioner.images.augment import CHANGES
from captioner.storage import DataError
from captioner.training.augmented import AugmentedPictures


class Mean:
    """An encoder whose features are a picture's mean color and the colors of its two halves."""

    input_size, feature_shape = (8, 8), (9,)

    def prepare(self, picture):
        return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((8, 8), Image.Resampling.BOX))

    def encode(self, pictures):
        parts = pictures, pictures[:, :, :4], pictures[:, :, 4:]
        return np.concatenate([part.mean(axis=(1, 2)) for part in parts], axis=1).astype("float32")


IDS = [f"p{index}" for index in range(12)]


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    for name in IDS:
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in IDS}


def test_an_epoch_is_the_same_again_and_another_one_is_not(paths):
    pictures = AugmentedPictures(paths, Mean(), CHANGES, (), seed=0)
    first = pictures.gather(IDS)
    np.testing.assert_array_equal(pictures.gather(IDS[::-1])[::-1], first)
    pictures.start_at(3)
    later = pictures.gather(IDS)
    assert (np.abs(later - first).max(axis=1) > 0.1).all()
    again = AugmentedPictures(paths, Mean(), CHANGES, (), seed=0)
    again.start_at(3)
    np.testing.assert_array_equal(again.gather(IDS), later)
    assert (AugmentedPictures(paths, Mean(), CHANGES, (), seed=1).gather(IDS) != first).any()


def test_without_changes_they_are_the_pictures_as_they_are(paths):
    encoder = Mean()
    found = AugmentedPictures(paths, encoder, (), (), seed=0).gather(IDS)
    plain = np.stack([encoder.prepare(np.asarray(Image.open(paths[name]))) for name in IDS])
    np.testing.assert_array_equal(found, encoder.encode(plain))


def test_what_tells_left_from_right_is_never_mirrored(paths):
    whole = AugmentedPictures(paths, Mean(), (), (), seed=0).gather(IDS)
    pictures = AugmentedPictures(paths, Mean(), ("flip",), IDS[:6], seed=0)
    mirrored = np.zeros(12, bool)
    for epoch in range(8):
        pictures.start_at(epoch)
        mirrored |= (pictures.gather(IDS) != whole).any(axis=1)
    assert not mirrored[:6].any() and mirrored[6:].all()


def test_a_picture_that_is_not_there_is_named(paths):
    pictures = AugmentedPictures(paths, Mean(), CHANGES, (), seed=0)
    with pytest.raises(DataError, match=r"picture p99 is not in the folder data\.images"):
        pictures.gather(["p0", "p99"])
