import base64
import zlib

import numpy as np
import pytest

from captioner.metrics.cider import CiderD
from captioner.storage import DataError
from captioner.training.similar_pictures import AXES, FEWEST, LARGEST_TEXT, NEIGHBOURS, SimilarPictures

WORDS = ("dog", "cat", "ball", "tree")


def of_kinds(kinds, pictures=120, seed=0, channels=4, noise=0.1, scale=1.0):
    """Return vectors around axes, one per kind, and the kind of each."""
    rng = np.random.default_rng(seed)
    own = rng.choice(kinds, pictures)
    return (scale * (np.eye(channels)[own] + noise * rng.normal(size=(pictures, channels)))).astype(np.float32), own


def captions_of(kinds):
    return [[["a", WORDS[kind], "runs"], ["the", WORDS[kind]]] for kind in kinds]


@pytest.fixture(scope="module")
def known():
    vectors, kinds = of_kinds(range(4))
    return SimilarPictures.of(vectors, captions_of(kinds))


def test_a_picture_finds_pictures_of_its_kind(known):
    vectors, kinds = of_kinds(range(4), pictures=20, seed=1)
    for own, near in zip(kinds, known.nearest(vectors), strict=True):
        assert len(near) == NEIGHBOURS
        assert {known.captions[place] for place in near} == {f"a {WORDS[own]} runs\nthe {WORDS[own]}"}


def test_the_nearest_are_those_of_the_highest_cosine_of_scaled_channels():
    rng = np.random.default_rng(2)
    vectors = (rng.normal(size=(FEWEST, 5)) * [1, 1000, 1, 0.01, 1] + [0, 5, 9, 0, 0]).astype(np.float32)
    known = SimilarPictures.of(vectors, captions_of(np.zeros(FEWEST, int)))
    scaled = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    expected = scaled @ scaled.T
    for own, near in enumerate(known.nearest(vectors)):
        assert near[0] == own
        np.testing.assert_allclose(expected[own, near], -np.sort(-expected[own])[:NEIGHBOURS], atol=0.02)


def test_consensus_is_the_mean_cider_d_against_the_neighbours_captions(known):
    vectors, _ = of_kinds([0, 2], pictures=3, seed=3)
    mixed = ["a", "dog", "tree", "runs"]  # its score depends on how rare each word is among all pictures
    candidates = [[["a", "dog", "runs"], mixed], [], [["a", "ball", "runs"], mixed, []]]
    found = known.consensus(vectors, candidates)
    assert [len(own) for own in found] == [2, 0, 3]
    scorer = CiderD({str(place): list(map(str.split, text.split("\n"))) for place, text in enumerate(known.captions)})
    for near, own, values in zip(known.nearest(vectors), candidates, found, strict=True):
        for caption, value in zip(own, values, strict=True):
            single = [scorer.scores([str(place)], [caption])[0] for place in near]
            assert value == pytest.approx(np.mean(single))
    assert [len(own) for own in known.consensus(vectors, [[], [], []])] == [0, 0, 0]


def test_a_caption_of_the_same_kind_agrees_best(known):
    vectors, kinds = of_kinds(range(4), pictures=12, seed=4)
    found = known.consensus(vectors, [[["a", word, "runs"] for word in WORDS]] * 12)
    assert [int(own.argmax()) for own in found] == kinds.tolist()


def test_many_channels_are_compared_along_the_directions_that_differ_most():
    vectors, kinds = of_kinds(range(4), pictures=400, channels=2 * AXES)
    known = SimilarPictures.of(vectors, captions_of(kinds))
    assert known.axes.shape == (2 * AXES, AXES) and known.rows.dtype == np.int8
    lengths = np.linalg.norm(known.axes.astype(np.float32), axis=0)
    np.testing.assert_allclose(lengths, 1, atol=0.01)


@pytest.mark.parametrize("scale", [1e-12, 1e6])
def test_the_size_of_the_numbers_does_not_matter(known, scale):
    vectors, kinds = of_kinds(range(4), scale=scale)
    other = SimilarPictures.of(vectors, captions_of(kinds))
    asked = of_kinds(range(4), pictures=9, seed=5)[0]
    if scale > 1:
        np.testing.assert_array_equal(other.nearest(asked * np.float32(scale)), known.nearest(asked))
    assert np.isfinite(other.mean).all() and other.nearest(asked).shape == (9, NEIGHBOURS)


def test_rare_n_grams_are_not_kept():
    captions = [[["a", "dog"], ["a", "red", "dog"]]] * 3 + [[["a", "cat"]]] * (FEWEST - 3)
    captions[5:7] = [[["a", "fox"], ["a", "fox"]]] * 2
    known = SimilarPictures.of(np.random.default_rng(0).normal(size=(FEWEST, 3)), captions)
    assert known.frequencies == {
        "a": FEWEST,
        "a cat": FEWEST - 5,
        "cat": FEWEST - 5,
        **dict.fromkeys(("dog", "red", "a dog", "a red", "red dog", "a red dog"), 3),
    }


def test_empty_captions_and_huge_numbers_do_no_harm():
    vectors, kinds = of_kinds(range(4), scale=3e37)
    captions = captions_of(kinds)
    captions[3], captions[4] = [[], ["a", "ball"]], [[]]
    known = SimilarPictures.of(vectors, captions)
    again = SimilarPictures.from_json(known.to_json())
    assert again.captions == known.captions and known.captions[3:5] == ["a ball", ""]
    found = again.consensus(vectors[:3], [[["a", "dog", "runs"], ["a", "ball", "runs"]]] * 3)
    assert np.isfinite(found).all() and np.max(found) > 0


def test_few_pictures_have_nothing_similar():
    vectors, kinds = of_kinds(range(4), pictures=FEWEST - 1)
    assert SimilarPictures.of(vectors, captions_of(kinds)) is None


def test_it_survives_json(known):
    again, (vectors, _) = SimilarPictures.from_json(known.to_json()), of_kinds(range(4), pictures=30, seed=6)
    np.testing.assert_array_equal(again.nearest(vectors), known.nearest(vectors))
    assert (again.captions, again.frequencies) == (known.captions, known.frequencies)
    assert again.to_json() == known.to_json()


def test_broken_ones_are_refused(known):
    whole = known.to_json()
    with pytest.raises(DataError, match="do not fit together"):
        SimilarPictures.from_json({**whole, "captions": base64.b64encode(zlib.compress(b"a dog")).decode()})
    with pytest.raises(DataError, match="do not fit together"):
        SimilarPictures.from_json({**whole, "spread": whole["spread"][:16]})
    bomb = base64.b64encode(zlib.compress(bytes(LARGEST_TEXT + 1))).decode()
    with pytest.raises(DataError, match="take more than 64 MiB"):
        SimilarPictures.from_json({**whole, "captions": bomb})
    with pytest.raises(DataError, match="expected pictures with 4 channels, found 7"):
        known.nearest(np.zeros((1, 7), np.float32))
