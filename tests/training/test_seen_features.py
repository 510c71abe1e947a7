import keras
import numpy as np
import pytest

from captioner.models.architectures import build_decoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.training.seen_features import AT_ONCE, SeenFeatures


class Stored:
    """Inner grids of pictures, which note how many are read at a time."""

    def __init__(self, rows):
        self.rows, self.read = rows, []

    def gather(self, ids):
        self.read.append(len(ids))
        return np.stack([self.rows[image_id] for image_id in ids])


@pytest.fixture(scope="module")
def made():
    keras.utils.set_random_seed(0)
    tail = keras.Sequential([keras.Input((4, 6, 3)), keras.layers.Conv2D(5, 3, strides=2, padding="same")])
    settings = {"architecture": "attention", "units": 6, "embedding_size": 4, "attention_units": 4}
    decoder = FineTunedDecoder(build_decoder(settings, 6, (2 * 3, 5)), tail)
    numbers = np.random.default_rng(0)
    ids = [f"p{index}" for index in range(AT_ONCE + 3)]
    stored = Stored({name: numbers.random((4 * 6, 3)).astype("float32") for name in ids})
    return decoder, stored, ids


def test_they_are_what_the_tail_gives_in_half_precision(made):
    decoder, stored, ids = made
    seen = SeenFeatures(decoder, stored, ids)
    assert stored.read == [AT_ONCE, 3]
    assert seen.shape == decoder.decoder.feature_shape
    asked = [ids[-1], ids[0], ids[5]]
    found = seen.gather(asked)
    expected = keras.ops.convert_to_numpy(decoder.see(np.stack([stored.rows[name] for name in asked])))
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-3
