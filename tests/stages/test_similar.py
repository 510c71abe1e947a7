"""The training pictures that a captioner keeps."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from captioner.captioner import Captioner
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import build_decoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.stages import similar as module
from captioner.stages.similar import similar_pictures
from captioner.text.vocabulary import TextConfig, Vocabulary

WORDS = [["a", "dog", "runs"], ["a", "cat", "sleeps"], ["the", "dog", "sleeps"]]
VOCABULARY = Vocabulary.fit(WORDS, TextConfig(min_count=1))


class Rows(dict):
    def gather(self, ids):
        return np.stack([self[image_id] for image_id in ids])


class Stream(Rows):
    """Features that can only be averaged, in one pass."""

    gather = None

    def averaged(self, ids):
        return np.stack([self[image_id].mean(axis=0) for image_id in ids])


def prepared(kind, pictures=300, shape=(6, 4)):
    rng = np.random.default_rng(0)
    features = kind({f"p{row}": rng.normal(size=shape).astype("float32") for row in range(pictures)})
    words = {f"p{row}": [WORDS[row % 3]] for row in range(pictures)}
    return SimpleNamespace(features=features, training=words, words=words)


def captioner_of(decoder, **settings):
    return Captioner(decoder, VOCABULARY, None, GenerationConfig(max_length=6, **settings))


def attention():
    settings = {"architecture": "attention", "units": 8, "embedding_size": 4}
    return build_decoder(settings, len(VOCABULARY), (6, 4))


def fine_tuned():
    keras.utils.set_random_seed(0)
    grid = keras.Input((2, 3, 4))
    tail = keras.Model(grid, keras.layers.Conv2D(5, 3, 2, padding="same")(grid))  # (batch, 1, 2, 5)
    settings = {"architecture": "attention", "units": 8, "embedding_size": 4}
    return FineTunedDecoder(build_decoder(settings, len(VOCABULARY), (2, 5)), tail)


def test_each_picture_finds_itself_first_with_its_captions():
    inputs = prepared(Rows)
    captioner = captioner_of(attention())
    captioner.similar = similar_pictures(captioner, inputs, keep_captions=True)
    ids = list(inputs.training)
    nearest = captioner.similar.nearest(captioner.vectors(inputs.features.gather(ids)))
    assert nearest[:, 0].tolist() == list(range(300))
    assert [captioner.similar.captions[place].split() for place in nearest[:3, 0]] == WORDS


def test_pictures_are_compared_by_the_trained_layers_of_the_encoder():
    inputs, captioner = prepared(Rows), captioner_of(fine_tuned())
    found = similar_pictures(captioner, inputs, keep_captions=True)
    last = np.asarray(captioner.decoder.see(inputs.features.gather(list(inputs.training))))  # (pictures, 2, 5)
    np.testing.assert_allclose(found.mean, last.mean(axis=(0, 1)), atol=1e-5)


def test_a_stream_is_read_once_and_is_not_enough_for_trained_layers(said):
    whole, inputs = similar_pictures(captioner_of(attention()), prepared(Rows), keep_captions=True), prepared(Stream)
    np.testing.assert_allclose(
        similar_pictures(captioner_of(attention()), inputs, keep_captions=True).mean, whole.mean, atol=1e-5
    )
    assert similar_pictures(captioner_of(fine_tuned(), consensus=6), inputs, keep_captions=True) is None
    assert len(said) == 1 and "generation.consensus: has no effect in this run" in said[0]


def test_of_many_pictures_some_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST", 120)
    found = similar_pictures(captioner_of(attention()), prepared(Rows), keep_captions=True)
    assert len(found.captions) == 100  # every third


def test_captions_are_kept_only_if_they_may_be():
    assert similar_pictures(captioner_of(attention()), prepared(Rows), keep_captions=False) is None


@pytest.mark.parametrize("consensus", [0, 6])
def test_a_run_on_few_pictures_says_that_consensus_has_no_effect(consensus, said):
    assert (
        similar_pictures(
            captioner_of(attention(), consensus=consensus), prepared(Rows, pictures=99), keep_captions=True
        )
        is None
    )
    assert len(said) == (consensus > 0)
