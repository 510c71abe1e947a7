"""Several views of a picture's features, of which one is drawn each time."""

import numpy as np
import pytest

from captioner.features.store import open_features, write_features
from captioner.features.views import Views
from captioner.storage import DataError

IDS = [f"p{index}" for index in range(60)]


@pytest.fixture
def stores(tmp_path):
    found = []
    for number, view in enumerate([None, "flip", "crop"]):
        description = {"backbone": "vgg16", **({} if view is None else {"view": view})}
        features = {image_id: np.array([row, number], "float32") for row, image_id in enumerate(IDS)}
        write_features(tmp_path / f"{number}.pkl", features, description)
        found.append(open_features(tmp_path / f"{number}.pkl"))
    return found


def drawn(views):
    features = views.gather(IDS)
    np.testing.assert_array_equal(features[:, 0], np.arange(60))  # each its own picture
    return features[:, 1]


def test_every_view_is_drawn_and_others_in_another_epoch(stores):
    views = Views(stores, (), seed=0)
    first = drawn(views)
    assert {*first} == {0, 1, 2}
    np.testing.assert_array_equal(first, drawn(views))
    views.start_at(1)
    assert (drawn(views) != first).any()
    views.start_at(0)
    np.testing.assert_array_equal(drawn(views), first)


def test_what_tells_left_from_right_is_never_mirrored(stores):
    views = Views(stores, IDS[:30], seed=0)
    for epoch in range(5):
        views.start_at(epoch)
        assert 1 not in drawn(views)[:30] and 1 in drawn(views)[30:]


def test_a_picture_that_one_view_lacks_is_named(stores):
    with pytest.raises(DataError, match="no features for"):
        Views(stores, (), seed=0).gather(["p0", "nobody"])
