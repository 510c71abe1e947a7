import numpy as np
import pytest

from captioner.training.familiarity import CENTRES, PICTURES_OF_A_KIND, Familiarity


class Vectors(dict):
    def gather(self, ids):
        return np.stack([self[image_id] for image_id in ids])


def of_kinds(kinds, pictures=300, seed=0, channels=12, width=0.3):
    """Return features of pictures around some of the axes."""
    rng = np.random.default_rng(seed)
    rows = np.eye(channels)[rng.choice(kinds, pictures)] + width * rng.normal(size=(pictures, channels))
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def known():
    rows = of_kinds([0, 1, 2])
    return Familiarity.of(Vectors(enumerate(rows)), range(len(rows)))


def test_pictures_of_the_known_kinds_are_familiar_and_others_are_not(known):
    assert known.unlike(of_kinds([0, 1, 2], seed=1)).mean() < 0.05
    assert known.unlike(of_kinds([7], seed=2)).mean() > 0.6
    assert np.median(known.strangeness(of_kinds([0, 1, 2], seed=1))) == 0
    assert np.median(known.strangeness(of_kinds([7], seed=2))) > 2


def test_each_kind_is_near_though_the_mean_of_all_is_far(known):
    """The kinds lie at right angles: their mean direction is no picture's."""
    between = np.ones((1, 12), np.float32) * np.eye(12, dtype=np.float32)[:3].sum(axis=0)
    alone = np.eye(12, dtype=np.float32)[:1]
    assert known.distances(alone)[0] < 0.1 < known.distances(between)[0]


def test_few_pictures_have_few_centres():
    rows = of_kinds([0, 1], pictures=PICTURES_OF_A_KIND * 2)
    assert Familiarity.of(Vectors(enumerate(rows)), range(len(rows))).centres.shape == (2, 12)
    many = of_kinds([0, 1], pictures=PICTURES_OF_A_KIND * CENTRES * 2)
    assert len(Familiarity.of(Vectors(enumerate(many)), range(len(many))).centres) == CENTRES


def test_others_of_the_kinds_of_a_few_pictures_are_familiar():
    rows = of_kinds([0, 1], pictures=12)
    few = Familiarity.of(Vectors(enumerate(rows)), range(len(rows)))
    assert few.unlike(of_kinds([0, 1], seed=5)).mean() < 0.02


def test_it_survives_json(known):
    again, rows = Familiarity.from_json(known.to_json()), of_kinds([0, 5], seed=3)
    np.testing.assert_allclose(again.distances(rows), known.distances(rows), atol=1e-3)
    np.testing.assert_allclose(again.strangeness(rows), known.strangeness(rows), atol=0.02)


def test_a_file_with_the_mean_alone_still_tells_and_takes_nothing_from_the_confidence():
    old = Familiarity.from_json({"mean": [1.0, 0.0], "limit": 0.4})
    rows = np.array([[1, 0.1], [0, 1]], np.float32)
    assert old.unlike(rows).tolist() == [False, True]
    assert old.strangeness(rows).tolist() == [0, 0]


def test_grids_are_averaged_over_their_regions(known):
    rows = of_kinds([0, 7], pictures=4, seed=4)
    grids = np.stack([rows - 1, rows + 1], axis=1)  # (pictures, regions, channels)
    np.testing.assert_allclose(known.distances(grids), known.distances(rows), atol=1e-5)


def test_strangeness_counts_spreads_beyond_the_first():
    known = Familiarity([[1.0, 0.0]], limit=0.5, typical=0.1, spread=0.2)
    rows = np.array([[1, 0], [0, 1], [3, 4]], np.float32)  # cosines 1, 0 and 0.6
    np.testing.assert_allclose(known.strangeness(rows), [0, 3.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_the_training_pictures_are_familiar_though_they_are_one_or_two(count):
    rows = np.random.default_rng(0).normal(size=(count, 1280)).astype(np.float32)
    saved = Familiarity.from_json(Familiarity.of(Vectors(enumerate(rows)), range(count)).to_json())
    assert not saved.unlike(rows).any()
