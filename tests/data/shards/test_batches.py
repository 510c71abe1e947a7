import json

import numpy as np
import pytest

from captioner.data.batches import CaptionBatches
from captioner.data.captions import Captions
from captioner.data.readers.tfrecords import read_shards
from captioner.data.shards.batches import ShardBatches
from captioner.data.shards.records import Record, write_shard
from captioner.data.shards.store import open_shards
from captioner.features.store import open_features, write_features
from captioner.stages.shard import shard
from captioner.storage import DataError

PICTURES = 23


@pytest.fixture
def data(tmp_path):
    """Features whose numbers half precision holds, and captions of several lengths."""
    rng = np.random.default_rng(0)
    ids = [f"p{index:02d}" for index in range(PICTURES)]
    features = {name: rng.integers(-8, 8, (3, 4)).astype("float32") for name in ids}
    write_features(tmp_path / "f.h5", features, {"backbone": "vgg16", "layer": "block5_pool"})
    texts = {name: tuple(["a", "dog", "runs"][: 1 + index % 3] * 2) for index, name in enumerate(ids)}
    captions = {name: (" ".join(words), "A cat.") for name, words in texts.items()}
    encoded = {name: [[1, *rng.integers(4, 9, 2 + index % 5).tolist(), 2], [1, 4, 2]] for index, name in enumerate(ids)}
    splits = {"train": tuple(ids[:17]), "dev": tuple(ids[17:])}
    return Captions(captions, splits=splits), open_features(tmp_path / "f.h5"), encoded


@pytest.fixture
def shards(data, tmp_path):
    captions, features, _ = data
    shard(captions, tmp_path / "shards", features, pictures_a_shard=5)
    return tmp_path / "shards"


def same(one, other):
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_batches_are_those_of_the_feature_file_in_the_same_order(data, shards):
    _, features, encoded = data
    training = {name: encoded[name] for name in data[0].splits["train"]}
    whole = CaptionBatches(features, training, batch_size=4, seed=0)
    whole._order = [np.arange(17)[at : at + 4] for at in range(0, 17, 4)]  # the order of the shards
    streamed = ShardBatches(open_shards(str(shards)), "train", training, batch_size=4, seed=None)
    assert len(streamed) == len(whole) == 5
    for index, batch in enumerate(streamed):
        same(batch, whole.batch(index))


def test_an_epoch_has_every_picture_once_in_an_order_of_its_own(data, shards):
    _, _, encoded = data
    training = {name: encoded[name] for name in data[0].splits["train"]}
    batches = ShardBatches(open_shards(str(shards)), "train", training, batch_size=4, seed=1)

    def sums(epoch):
        batches.start_at(epoch)
        return [float(row.sum()) for batch in batches for row in batch.features]

    first, second = sums(0), sums(1)
    assert len(first) == 17
    assert sorted(first) == sorted(second)
    assert first != second
    assert first == sums(0)


def test_a_later_batch_of_an_epoch_can_be_the_first(data, shards):
    _, _, encoded = data
    training = {name: encoded[name] for name in data[0].splits["train"]}
    batches = ShardBatches(open_shards(str(shards)), "train", training, batch_size=4, seed=1)
    whole = list(batches)
    batches.start_at(0, 3)
    assert len(batches) == 2
    for one, other in zip(batches, whole[3:], strict=True):
        same(one, other)


def test_captions_and_splits_are_read_from_the_shards(data, shards):
    captions, _, _ = data
    found = read_shards(shards)
    assert found.splits == captions.splits
    assert found.references == captions.references


def test_features_of_a_small_split_are_gathered(data, shards):
    captions, features, _ = data
    ids = list(reversed(captions.splits["dev"]))
    store = open_shards(str(shards))
    np.testing.assert_array_equal(store.gather(ids), features.gather(ids))
    assert store.description == {"backbone": "vgg16", "layer": "block5_pool"}


def test_a_cut_shard_is_named(data, shards):
    path = shards / "train-00001-of-00004.tfrecord"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"train-00001-of-00004\.tfrecord: has \d+ bytes, but its manifest says \d+"):
        open_shards(str(shards))
    (shards / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"train-00001-of-00004\.tfrecord: truncated or damaged"):
        list(open_shards(str(shards)).records("train"))


def test_another_digest_is_named(shards):
    path = shards / "dev-00000-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"dev-00000-of-00002\.tfrecord: its digest is \w{12}, but its manifest says \w{12}"
    ):
        open_shards(str(shards))


def test_a_missing_shard_is_named(shards):
    (shards / "train-00002-of-00004.tfrecord").unlink()
    with pytest.raises(DataError, match=r"train-00002-of-00004\.tfrecord: this shard of the manifest is missing"):
        open_shards(str(shards))


def test_shards_are_not_written_twice_and_other_data_are_refused(data, shards):
    captions, features, _ = data
    before = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.tfrecord")}
    shard(captions, shards, features, pictures_a_shard=5)
    assert {path.name: path.stat().st_mtime_ns for path in shards.glob("*.tfrecord")} == before
    fewer = Captions(captions.references, splits={"train": captions.splits["train"][:3]})
    with pytest.raises(DataError, match="contains shards of other data"):
        shard(fewer, shards, features)
    shard(fewer, shards, features, overwrite=True)
    assert sorted(path.name for path in shards.glob("*.tfrecord")) == ["train-00000-of-00001.tfrecord"]


def test_shards_of_others_have_a_record_for_each_caption(tmp_path):
    """Show and Tell's own form: an image's number, its JPEG, and one caption, a word an entry."""
    import tensorflow as tf

    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    path = str(tmp_path / "val-00000-of-00001")
    with tf.io.TFRecordWriter(path) as writer:
        for number, caption in [(9, "a dog"), (9, "the dog runs"), (12, "a cat")]:
            words = [feature(word.encode()) for word in ("<S>", *caption.split(), "</S>")]
            numbers = [feature(index) for index in range(len(words))]
            lists = {"image/caption": words, "image/caption_ids": numbers}
            example = tf.train.SequenceExample(
                context=tf.train.Features(
                    feature={"image/image_id": feature(number), "image/data": feature(b"picture %d" % number)}
                ),
                feature_lists=tf.train.FeatureLists(
                    feature_list={name: tf.train.FeatureList(feature=values) for name, values in lists.items()}
                ),
            )
            writer.write(example.SerializeToString())
    found = read_shards(tmp_path)
    assert found.splits == {"dev": ("9", "12")}
    assert [len(found.references[name]) for name in ("9", "12")] == [2, 1]
    assert "the dog runs" in found.references["9"][1]

    def encode(pictures):
        return np.array([[int(picture.split()[1])] for picture in pictures], "float32")

    store = open_shards(str(tmp_path)).encoded_by(encode, {"backbone": "none"})
    batches = ShardBatches(store, "dev", {"9": [[1, 4, 2], [1, 5, 2]], "12": [[1, 4, 2]]}, batch_size=8, seed=None)
    (batch,) = list(batches)
    np.testing.assert_array_equal(batch.features, [[9.0], [12.0]])
    assert batch.tokens.shape == (2, 2, 2)


def test_records_without_an_id_are_refused(tmp_path):
    write_shard(tmp_path / "train-00000-of-00001.tfrecord", [Record("a", ("x",), picture=None)])
    with pytest.raises(DataError, match="a record has no image/image_id, or neither image/features nor image/data"):
        open_shards(str(tmp_path))


def test_the_manifest_counts_records(shards):
    manifest = json.loads((shards / "manifest.json").read_text())
    assert [entry["records"] for entry in manifest["shards"]["train"]] == [5, 5, 5, 2]
