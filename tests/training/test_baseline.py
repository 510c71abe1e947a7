import numpy as np

from captioner.training.baseline import nearest_captions


class Vectors(dict):
    def gather(self, ids):
        return np.stack([self[image_id] for image_id in ids]).astype("float32")


REFERENCES = {
    "dog": ("A dog runs .", "A brown dog runs on grass .", "Dog running ."),
    "cat": ("A cat sleeps .", "The cat ."),
}


def test_a_picture_gets_the_most_shared_caption_of_the_nearest_one():
    features = Vectors(dog=[1, 0, 0], cat=[0, 1, 0], other=[9, 1, 0], last=[1, 5, 1])
    found = nearest_captions(features, REFERENCES, ["dog", "cat"], ["other", "last"])
    assert found == {"other": "A dog runs .", "last": "A cat sleeps ."}


def test_grids_are_averaged_over_their_regions():
    features = Vectors(dog=[[2, 0], [0, 0]], cat=[[0, 2], [0, 2]], other=[[0, 1], [1, 5]])
    assert nearest_captions(features, REFERENCES, ["dog", "cat"], ["other"]) == {"other": "A cat sleeps ."}
