import contextlib

import keras
import numpy as np
import pytest

from captioner.captioner import Captioner
from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import build_encoder
from captioner.ensemble import Ensemble, JointFeatures
from captioner.features.store import open_features, write_features
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import build_decoder
from captioner.storage import DataError
from captioner.text.vocabulary import TextConfig, Vocabulary
from captioner.training.similar_pictures import SimilarPictures

WORDS = [["a", "dog", "runs"], ["a", "cat", "sleeps"], ["the", "dog", "sleeps"]]


def make(seed, channels=5, description=None, words=WORDS):
    keras.utils.set_random_seed(seed)
    vocabulary = Vocabulary.fit(words, TextConfig())
    decoder = build_decoder({"units": 8, "embedding_size": 4}, len(vocabulary), (channels,))
    return Captioner(decoder, vocabulary, description, GenerationConfig(max_length=6, beam_size=4))


def test_members_with_features_of_their_own_caption_together():
    members = [make(0), make(1, channels=7)]
    ensemble = Ensemble(members, ["one", "two"])
    rng = np.random.default_rng(0)
    features = tuple(rng.normal(size=(3, channels)).astype("float32") for channels in (5, 7))
    captions = ensemble.caption_features(features, n=2)
    assert [len(picture) for picture in captions] == [2, 2, 2]
    assert ensemble.generation == members[0].generation
    alone = ensemble.caption_features(tuple(own[1:2] for own in features), n=2)
    assert [caption.text for caption in alone[0]] == [caption.text for caption in captions[1]]
    with pytest.raises(
        DataError, match=r"this captioner expects the shape \(\(5,\), \(7,\)\) per picture, found \(\(7,\), \(5,\)\)"
    ):
        ensemble.caption_features(features[::-1])


def test_an_ensemble_of_one_captioner_twice_is_that_captioner():
    captioner = make(3)
    features = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")
    twice = Ensemble([captioner, captioner], ["a", "b"]).caption_features((features, features))
    for picture, expected in zip(twice, captioner.caption_features(features), strict=True):
        assert picture[0].text == expected[0].text
        assert picture[0].log_prob == pytest.approx(expected[0].log_prob, abs=1e-4)


def test_another_vocabulary_is_refused():
    with pytest.raises(
        DataError, match=r"runs/b: has a different vocabulary than runs/a \(5 words against 10, word 4 is"
    ):
        Ensemble([make(0), make(1, words=[["only"]])], ["runs/a", "runs/b"])


@pytest.mark.slow
def test_each_member_sees_a_picture_through_its_own_encoder():
    settings = {"backbone": "efficientnet_lite0", "weights": "random"}
    whole = build_encoder(EncoderConfig(**settings)).description
    crop = build_encoder(EncoderConfig(**settings, resizing="crop")).description
    members = [make(index, 1280, description) for index, description in enumerate((whole, crop, dict(whole)))]
    ensemble = Ensemble(members, ["a", "b", "c"])
    pictures = list(np.random.default_rng(0).integers(0, 255, (2, 40, 90, 3), dtype=np.uint8))
    assert [array.shape for array in ensemble.prepare(pictures[0])] == [(224, 224, 3)] * 2  # a and c share theirs
    features = ensemble.encode(pictures)
    for member, own in zip(members[:2], features, strict=False):
        np.testing.assert_allclose(own, member.encode(pictures), atol=1e-5)
    np.testing.assert_array_equal(features[0], features[2])
    assert np.abs(features[0] - features[1]).max() > 1e-3
    prepared = [ensemble.prepare(picture) for picture in pictures]
    assert ensemble.caption_prepared(prepared) == ensemble.caption_features(features)
    alone = [members[0].prepare(picture) for picture in pictures]
    assert members[0].caption_prepared(alone, n=2) == members[0].caption_features(features[0], n=2)
    assert ensemble.caption_prepared([]) == members[0].caption_prepared([]) == []


def test_joint_features(tmp_path):
    rows = {f"p{index}": np.full(3, index, np.float32) for index in range(3)}
    write_features(tmp_path / "a.pkl", rows, None)
    write_features(tmp_path / "b.pkl", {name: row[:2] for name, row in rows.items()}, None)
    joint = JointFeatures([open_features(tmp_path / "a.pkl"), open_features(tmp_path / "b.pkl")])
    first, second = joint.gather(["p2", "p0"])
    assert first.shape == (2, 3) and second.tolist() == [[2, 2], [0, 0]]


def test_consensus_is_the_first_members():
    members = [make(0), make(1, channels=7)]
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(100, 5)).astype(np.float32)
    members[0].similar = SimilarPictures.of(vectors, [[WORDS[row % 3]] for row in range(100)])
    ensemble = Ensemble(members, ["one", "two"])
    features = tuple(rng.normal(size=(3, channels)).astype("float32") for channels in (5, 7))
    several = ensemble.caption_features(features, n=4, consensus=50)
    found = members[0].similar.consensus(features[0], [[each.text.split() for each in own] for own in several])
    for own, values in zip(several, found, strict=True):
        assert [each.consensus for each in own] == values.tolist()
        assert [each.score for each in own] == sorted((each.score for each in own), reverse=True)


def test_an_ensemble_that_does_not_tell_of_unlike_pictures_keeps_its_members_quiet():
    ensemble = Ensemble([make(0), make(1)], ["one", "two"])
    ensemble.tells_of_unlike = False
    with contextlib.suppress(DataError):  # the encoder is not known
        ensemble.encode_prepared([(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8))])
    assert not any(member.tells_of_unlike for member in ensemble.members)
