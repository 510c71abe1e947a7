import numpy as np
import pytest

from captioner.data.shards.records import Record, write_shard
from captioner.data.shards.store import open_shards
from captioner.storage import DataError, write_json
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
    with pytest.raises(DataError, match=r"has no record of 1 pictures \(first: train40\)"):
        shards.averaged(ids)


def test_without_a_manifest_the_digest_is_that_of_the_shards_and_not_of_their_names_alone(tmp_path):
    def digest_of(folder, value):
        records = [Record(f"p{n}.jpg", ("A dog.",), np.full(4, value + n, "float32")) for n in range(3)]
        write_shard(tmp_path / folder / "train-00000-of-00001.tfrecord", records)
        return open_shards(str(tmp_path / folder)).digest

    assert digest_of("first", 1.0) == digest_of("second", 1.0) != digest_of("first", 2.0)


class Bucket:
    """Shards in a file system that TensorFlow cannot read."""

    def __init__(self):
        self.system = pytest.importorskip("fsspec").filesystem("memory")

    def put(self, folder):
        for path in folder.iterdir():
            self.system.pipe(f"/bucket/{path.name}", path.read_bytes())


@pytest.mark.parametrize("with_manifest", [True, False])
def test_shards_that_were_replaced_in_a_bucket_are_read_anew(tmp_path, monkeypatch, with_manifest):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    bucket, found = Bucket(), []
    for value in (1.0, 2.0):
        folder = tmp_path / f"of{value}"
        records = [Record("dog.jpg", ("A dog.",), np.full(4, value, "float32"))]
        written = write_shard(folder / "train-00000-of-00001.tfrecord", records)
        if with_manifest:
            write_json(folder / "manifest.json", {"shards": {"train": [written._asdict()]}})
        bucket.put(folder)
        for _ in range(2):
            found.append(float(open_shards("memory://bucket").gather(["dog"])[0, 0]))
    assert found == [1.0, 1.0, 2.0, 2.0]
    assert len(list((tmp_path / "temporary" / "captioner-shards").glob("*.tfrecord"))) == 2  # each copied once
    bucket.system.rm("/bucket", recursive=True)
