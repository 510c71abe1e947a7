import numpy as np
import pytest

from captioner.generation import corpus
from captioner.generation.caption import Caption


class Rows:
    """Features that remember what was read together."""

    def __init__(self):
        self.read = []

    def gather(self, ids):
        self.read.append(list(ids))
        return np.array([[float(image_id)] for image_id in ids])


def test_features_are_read_in_parts_and_each_picture_has_a_number(monkeypatch):
    monkeypatch.setattr(corpus, "FEATURES_AT_ONCE", 3)
    features, ids = Rows(), [str(number) for number in range(7)]

    def caption(batch, first):
        return [[Caption(f"{first + row}: {value:.0f}", (), 0.0)] for row, (value,) in enumerate(batch)]

    found = corpus.decode(ids, features, caption)
    assert features.read == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert {image_id: several[0].text for image_id, several in found.items()} == {n: f"{n}: {n}" for n in ids}


def test_a_picture_without_a_caption_has_an_empty_one():
    found = corpus.decode(["1", "2"], Rows(), lambda batch, first: [[], [Caption("a dog", ("a", "dog"), -1.0)]])
    assert found["1"] == [Caption("", (), float("-inf"))] and found["2"][0].text == "a dog"
    with pytest.raises(ValueError, match="shorter"):
        corpus.decode(["1", "2"], Rows(), lambda batch, first: [[]])
