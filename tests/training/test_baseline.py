import numpy as np
import pytest

from captioner.training import baseline
from captioner.training.baseline import nearest_captions


class Vectors(dict):
    def gather(self, ids):
        return np.stack([self[image_id] for image_id in ids]).astype("float32")


REFERENCES = {
    "dog": ("Dog running .", "A dog runs .", "A brown dog runs on grass ."),
    "cat": ("A cat sleeps .", "The cat ."),
}


def test_a_picture_gets_the_most_shared_caption_of_the_nearest_one():
    features = Vectors(dog=[1, 0, 0], cat=[0, 1, 0], other=[9, 1, 0], last=[1, 5, 1])
    found = nearest_captions(features, REFERENCES, ["dog", "cat"], ["other", "last"])
    assert found == {"other": "A dog runs .", "last": "A cat sleeps ."}


def test_grids_are_averaged_over_their_regions():
    features = Vectors(dog=[[2, 0], [0, 0]], cat=[[0, 2], [0, 2]], other=[[0, 1], [1, 5]])
    assert nearest_captions(features, REFERENCES, ["dog", "cat"], ["other"]) == {"other": "A cat sleeps ."}


def test_the_nearest_pictures_are_those_of_all_cosines_at_once(monkeypatch):
    monkeypatch.setattr(baseline, "AT_ONCE", 7)
    rng = np.random.default_rng(0)
    rows = dict(zip([f"p{index}" for index in range(30)], rng.normal(size=(30, 5)).astype(np.float32), strict=True))
    known, asked = list(rows)[:25], list(rows)[25:]
    found = baseline.nearest(Vectors(rows), known, asked, 3)
    for image_id in asked:
        unit = {name: row / np.linalg.norm(row) for name, row in rows.items()}
        cosines = {name: float(unit[name] @ unit[image_id]) for name in known}
        expected = sorted(cosines, key=lambda name: -cosines[name])[:3]
        assert [name for name, _ in found[image_id]] == expected
        assert [cosine for _, cosine in found[image_id]] == pytest.approx([cosines[name] for name in expected])


def test_few_known_pictures_are_all_of_the_neighbours():
    rows = {"a": np.array([1, 0], np.float32), "b": np.array([1, 1], np.float32)}
    assert [name for name, _ in baseline.nearest(Vectors(rows), ["a"], ["b"], 3)["b"]] == ["a"]
