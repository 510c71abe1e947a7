import h5py
import numpy as np
import pytest

from captioner.data.captions import Captions
from captioner.encoders.config import EncoderConfig
from captioner.features.store import open_features, write_features
from captioner.storage import DataError, manifest_path
from captioner.training import checks
from captioner.training.checks import (
    one_sided,
    open_views,
    require_encoder,
    require_features,
    require_finite,
)

DESCRIPTION = {
    "backbone": "vgg16",
    "layer": "block5_pool",
    "weights": "a" * 64,
    "input_size": [224, 224],
    "resizing": "whole",
    "filter": "bicubic",
}
WORDS = {"p0": [["a", "dog", "left", "alone"]], "p1": [["a", "cat"]], "p2": [["the", "right", "hand"], ["a", "man"]]}


def store(path, rows, description=DESCRIPTION, ours=True, **changes):
    """Return a file of features; without its manifest it could be anybody's."""
    ids = [f"p{number}" for number in range(len(rows))]
    features = dict(zip(ids, np.asarray(rows, np.float32), strict=True))
    write_features(path, features, {**description, **changes} if description else None)
    if not ours:
        manifest_path(path).unlink()
    return open_features(path)


def captions_of(count, **splits):
    return Captions({f"p{number}": ("a dog",) for number in range(count)}, splits=splits)


def test_features_of_the_recipes_encoder_pass(tmp_path):
    features = store(tmp_path / "f.h5", np.ones((2, 3)))
    require_encoder(features, EncoderConfig("vgg16", "block5_pool"))
    require_encoder(features, EncoderConfig("vgg16", "grid"))  # recorded under its own name
    require_encoder(store(tmp_path / "any.h5", np.ones((2, 3)), None), EncoderConfig("vgg19", "fc2"))


def test_features_of_another_encoder_are_refused_with_all_that_differs(tmp_path):
    features = store(tmp_path / "f.h5", np.ones((2, 3)))
    with pytest.raises(DataError) as error:
        require_encoder(features, EncoderConfig("vgg19", "fc2"))
    assert "backbone: vgg16 in the file, vgg19 in the recipe; layer: block5_pool in the file, fc2" in str(error.value)
    with pytest.raises(DataError, match="view: whole in the file, flip in the recipe"):
        require_encoder(features, EncoderConfig("vgg16", "block5_pool", view="flip"))
    with pytest.raises(DataError, match=r"input_size: \[224, 224\] in the file, \[320, 320\] in the recipe"):
        require_encoder(features, EncoderConfig("vgg16", "block5_pool", input_size=320))
    larger = store(tmp_path / "larger.h5", np.ones((2, 3)), input_size=[320, 320])
    require_encoder(larger, EncoderConfig("vgg16", "block5_pool", input_size=320))
    with pytest.raises(DataError, match=r"input_size: \[320, 320\] in the file, \[224, 224\] in the recipe"):
        require_encoder(larger, EncoderConfig("vgg16", "block5_pool"))


def test_pictures_whose_captions_tell_left_from_right():
    assert one_sided(WORDS) == ["p0", "p2"]


def test_views_are_of_the_same_pictures_and_encoder(tmp_path):
    whole = store(tmp_path / "whole.h5", np.zeros((3, 2)))
    store(tmp_path / "flip.h5", np.ones((3, 2)), view="flip")
    views = open_views([str(tmp_path / "flip.h5")], whole, WORDS, seed=0)
    seen = []
    for epoch in range(20):
        views.start_at(epoch)
        seen.append(views.gather(["p0", "p1", "p2"]))
    seen = np.stack(seen)  # (epochs, pictures, channels)
    assert not seen[:, [0, 2]].any() and set(seen[:, 1].ravel()) == {0, 1}  # p0 and p2 are never mirrored

    store(tmp_path / "few.h5", np.ones((1, 2)), view="flip")
    with pytest.raises(DataError, match=r"few.h5: lacks 2 training pictures \(first: p1\)"):
        open_views([str(tmp_path / "few.h5")], whole, WORDS, seed=0)
    store(tmp_path / "other.h5", np.ones((3, 2)), view="flip", layer="fc2")
    with pytest.raises(DataError, match=r"other.h5: comes from another encoder than .*layer: fc2"):
        open_views([str(tmp_path / "other.h5")], whole, WORDS, seed=0)


def test_splits_without_features_are_named(tmp_path):
    features = store(tmp_path / "f.h5", np.ones((3, 2)))
    require_features(features, captions_of(3, train=("p0", "p1"), dev=("p2",)))
    with pytest.raises(DataError, match=r"lacks 1 of the 2 pictures of split dev \(first: p7\)"):
        require_features(features, captions_of(3, train=("p0",), dev=("p2", "p7")))
    with pytest.raises(DataError, match=r"split dev have no id in common: 'p0' in one, 'q1' in the other"):
        require_features(features, captions_of(3, train=("p0",), dev=("q1", "q2")))


@pytest.mark.parametrize("ours", [True, False])
def test_features_that_say_nothing_are_told(tmp_path, said, ours):
    ids = ("p0", "p1", "p2")
    require_finite(store(tmp_path / "f.h5", [[0, 0], [1, 2], [0, 1]], ours=ours), captions_of(3, train=ids))
    assert said.pop().endswith("f.h5: the features of 1 of 3 pictures are zero (first: 'p0')")
    require_finite(store(tmp_path / "g.h5", [[2, 1], [2, 1], [2, 1]], ours=ours), captions_of(3, train=ids))
    assert "all 3 pictures have the same features" in said.pop()
    require_finite(store(tmp_path / "two.h5", [[2, 1], [2, 1]], ours=ours), captions_of(2, train=ids[:2]))
    assert "all 2 pictures have the same features" in said.pop()
    require_finite(store(tmp_path / "one.h5", [[2, 1]], ours=ours), captions_of(1, train=ids[:1]))
    assert not said
    require_finite(store(tmp_path / "h.h5", [[2, 1], [2, 1], [2, 0]], ours=ours), captions_of(3, train=ids))
    require_finite(store(tmp_path / "i.h5", [[2, 1]], ours=ours), captions_of(1, train=("p0",)))
    assert said == []


def test_of_captioners_own_files_some_pictures_are_looked_at_of_others_all(tmp_path, said, monkeypatch):
    monkeypatch.setattr(checks, "LOOKED_AT", 4)
    rows = np.arange(1, 25, dtype=np.float32).reshape(12, 2)
    rows[[1, 4]] = 0
    ids = tuple(f"p{number}" for number in range(12))
    require_finite(store(tmp_path / "f.h5", rows), captions_of(12, train=ids))
    assert said == []  # every third one: 0, 3, 6, 9
    require_finite(store(tmp_path / "g.h5", rows, ours=False), captions_of(12, train=ids[:6], dev=ids[6:]))
    assert said[0].endswith("the features of 2 of 12 pictures are zero (first: 'p1')")


def test_a_number_that_is_none_is_refused_with_its_picture(tmp_path):
    path = tmp_path / "f.h5"
    write_features(path, {f"p{number}": np.ones(2, np.float32) for number in range(3)}, None)
    manifest_path(path).unlink()
    with h5py.File(path, "r+") as file:
        file["features"][1] = np.nan
    with pytest.raises(DataError, match="p1"):
        require_finite(open_features(path), captions_of(3, train=("p0", "p1", "p2")))
