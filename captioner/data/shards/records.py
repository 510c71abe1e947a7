"""TFRecord shards: one SequenceExample per picture, with its features or the picture itself, its captions and its id.

The keys are the usual ones, from Show and Tell's data set. In captioner's shards, `image/caption` has one raw text per
caption. In shards of others it may have one word per entry, and an example may have one caption of several.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from captioner.data.shards.remote import reason
from captioner.storage import DataError, atomic_path

IMAGE_ID, PICTURE, FEATURES, SHAPE = "image/image_id", "image/data", "image/features", "image/features_shape"
CAPTION, CAPTION_IDS, RAW = "image/caption", "image/caption_ids", "captioner/raw"
READ_AT_ONCE = 4  # shards that are read in parallel
STORED = "<f2"  # features in a shard have half precision, like feature files of grids


class Record(NamedTuple):
    """A picture's record in a shard.

    Attributes:
        image_id: as in the shard.
        captions: raw texts; from shards of others, the words of a caption joined by spaces.
        features: float32, or None.
        picture: encoded bytes, or None.
    """

    image_id: str
    captions: tuple[str, ...]
    features: np.ndarray | None = None
    picture: bytes | None = None


class Written(NamedTuple):
    """A shard that was written.

    Attributes:
        name: of the file.
        records: number of records.
        bytes: its size.
        modified: time of writing, in nanoseconds.
        digest: SHA-256.
    """

    name: str
    records: int
    bytes: int
    modified: int
    digest: str


def write_shard(path: Path, records: Iterable[Record]) -> Written:
    """Write one shard, atomically.

    Raises:
        DataError: the folder cannot be written to, or the disk is full.
    """
    import tensorflow as tf

    count = 0
    with atomic_path(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for record in records:
                    writer.write(_example(record).SerializeToString(deterministic=True))
                    count += 1
        except tf.errors.OpError as error:
            raise DataError(
                f"{path}: cannot be written ({reason(error)}); free disk space and run the command again"
            ) from None
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = temporary.stat()
    return Written(path.name, count, status.st_size, status.st_mtime_ns, digest)


def _example(record: Record) -> Any:
    import tensorflow as tf

    def of_bytes(*values: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def of_numbers(*values: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    context = {IMAGE_ID: of_bytes(record.image_id.encode()), RAW: of_numbers(1)}
    if record.features is not None:
        context[FEATURES] = of_bytes(record.features.astype(STORED).tobytes())
        context[SHAPE] = of_numbers(*record.features.shape)
    if record.picture is not None:
        context[PICTURE] = of_bytes(record.picture)
    captions = tf.train.FeatureList(feature=[of_bytes(text.encode()) for text in record.captions])
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context),
        feature_lists=tf.train.FeatureLists(feature_list={CAPTION: captions}),
    )


def parse_record(serialized: bytes, path: str) -> Record:
    """Return the record of a serialized SequenceExample.

    Args:
        serialized: the example.
        path: the shard, for messages.

    Raises:
        DataError: it is not a SequenceExample, or has no id, or neither features nor a picture.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        example = tf.train.SequenceExample.FromString(serialized)
    except DecodeError:
        raise DataError(
            f"{path}: has records that are not SequenceExamples; make the shards with captioner shard"
        ) from None
    context, lists = example.context.feature, example.feature_lists.feature_list
    if IMAGE_ID not in context or (FEATURES not in context and PICTURE not in context):
        found = ", ".join(sorted(context)) or "none"
        raise DataError(
            f"{path}: a record has no {IMAGE_ID}, or neither {FEATURES} nor {PICTURE} (its keys: {found}); "
            "make the shards with captioner shard"
        )
    entries = [_texts(entry) for entry in lists[CAPTION].feature] if CAPTION in lists else []
    if RAW in context:
        captions = tuple(text for entry in entries for text in entry)
    else:  # one caption, one word per entry
        captions = (" ".join(text for entry in entries for text in entry),) if entries else ()
    return Record(
        _texts(context[IMAGE_ID])[0],
        captions,
        _features(context, path) if FEATURES in context else None,
        context[PICTURE].bytes_list.value[0] if PICTURE in context else None,
    )


def _texts(feature: Any) -> list[str]:
    if feature.int64_list.value:
        return [str(number) for number in feature.int64_list.value]
    return [value.decode("utf-8", "replace") for value in feature.bytes_list.value] or [""]


def _features(context: Any, path: str) -> np.ndarray:
    shape = tuple(context[SHAPE].int64_list.value) if SHAPE in context else ()
    raw = context[FEATURES].bytes_list.value[0] if context[FEATURES].bytes_list.value else b""
    size = 2
    for extent in shape:
        size *= extent
    if not shape or min(shape) < 1 or size != len(raw):
        raise DataError(
            f"{path}: a record's features have {len(raw)} bytes but the shape {shape}; make the shards again"
        )
    return np.frombuffer(raw, STORED).reshape(shape).astype("float32")


def read_records(shards: Sequence[str], seed: int | None, buffer: int) -> Iterator[tuple[str, bytes]]:
    """Yield (shard, serialized example) of all shards, several of which are read in parallel.

    Args:
        shards: paths or addresses.
        seed: of the order of shards and records; None reads them in their own order.
        buffer: size of the buffer from which records are drawn at random.

    Raises:
        DataError: a shard is missing or truncated.
    """
    import tensorflow as tf

    names = tf.data.Dataset.from_tensor_slices(list(shards))

    def records_of(name: Any) -> Any:
        return tf.data.TFRecordDataset(name, buffer_size=2**20).map(lambda record: (name, record))

    if seed is None:
        records = names.flat_map(records_of)
    else:
        records = names.shuffle(len(shards), seed).interleave(
            records_of, cycle_length=READ_AT_ONCE, num_parallel_calls=READ_AT_ONCE, deterministic=True
        )
        records = records.shuffle(buffer, seed)
    options = tf.data.Options()
    options.autotune.enabled = False
    at = shards[0]
    try:
        for name, record in records.prefetch(buffer_size=16).with_options(options).as_numpy_iterator():
            at = name.decode()
            yield at, record
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError):
        raise DataError(
            f"{_broken(shards) or at}: truncated or damaged; make the shard again or copy it again"
        ) from None
    except tf.errors.OpError as error:
        raise DataError(f"{_broken(shards) or at}: cannot be read ({reason(error)})") from None


def _broken(shards: Sequence[str]) -> str | None:
    """Return the first shard that cannot be read to its end."""
    import tensorflow as tf

    for shard in shards:
        try:
            for _ in tf.data.TFRecordDataset(shard):
                pass
        except tf.errors.OpError:
            return shard
    return None
