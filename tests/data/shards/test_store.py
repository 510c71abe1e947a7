import numpy as np
import pytest

from captioner.data.shards.records import Record, write_shard
from captioner.data.shards.store import open_shards
from captioner.storage import DataError
from captioner.training.baseline import directions
from captioner.training.familiarity import Familiarity


@pytest.fixture
def shards(tmp_path):
    """Grids of 40 training pictures and of 3 dev pictures."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("dev", 3)):
        records = [Record(f"{split}{n}.jpg", (), rng.integers(1, 9, (3, 4)).astype("float32")) for n in range(count)]
        write_shard(tmp_path / f"{split}-00000-of-00001.tfrecord", records)
    return open_shards(str(tmp_path))


def test_averaged_features_are_those_of_whole_ones_and_none_of_them_stay(shards):
    ids = ["train7", "dev1", "train3"]
    averaged = shards.averaged(ids)
    assert not shards._held
    np.testing.assert_allclose(averaged, shards.gather(ids).mean(axis=1), rtol=1e-3)


def test_a_few_pictures_are_looked_for_in_one_pass(shards, monkeypatch):
    reads = []
    monkeypatch.setattr(
        shards, "records", lambda *about, records=shards.records: reads.append(about) or records(*about)
    )
    ids = [f"train{n}" for n in range(40)]
    assert directions(shards, ids).shape == (40, 4)
    assert Familiarity.of(shards, ids).limit > 0
    assert reads.count(("train",)) <= 6  # to count the records and to read them, twice
    assert not shards._held


def test_pictures_without_a_record_are_named(shards):
    ids = [f"train{n}" for n in range(41)]
    assert shards.missing(ids, "train") == ["train40"]
    with pytest.raises(DataError, match="lacks 1 pictures, the first is train40"):
        shards.averaged(ids)
