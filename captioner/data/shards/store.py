"""Streams features from TFRecord shards: the features in them, or those of the pictures in them."""

from __future__ import annotations

import functools
import itertools
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from captioner.data.captions import split_name
from captioner.data.shards.records import Record, parse_record, read_records
from captioner.data.shards.remote import fingerprint, local_copy, needs_fsspec, read_remote
from captioner.images.ids import normalize_id
from captioner.storage import DataError, digest_file, digest_json, read_json

MANIFEST = "manifest.json"
_SHARD = re.compile(r"(?P<split>.+?)-\d+-of-\d+(?:\.tfrecords?)?")
SHUFFLED_BYTES, MOST_SHUFFLED = 2**27, 4096  # largest buffer from which records are drawn at random
AT_ONCE = 32  # pictures that are encoded together

EncodePictures = Callable[[list[bytes]], np.ndarray]  # encoded pictures -> (pictures, ...) float32


class Shard(NamedTuple):
    """One shard.

    Attributes:
        address: a path that TensorFlow can read.
        records: number of records, from the manifest; None without one.
    """

    address: str
    records: int | None


class ShardedFeatures:
    """A read-only store of the shards of a folder. Training streams one split; others are read whole if needed.

    Attributes:
        path: the folder or address.
        shards: split -> its shards.
        description: the Encoder's, if known.
        digest: of the manifest's digests; without a manifest, of the names, sizes, beginnings and ends.
    """

    def __init__(
        self,
        path: str,
        shards: Mapping[str, Sequence[Shard]],
        digest: str,
        description: Mapping[str, Any] | None = None,
        encode: EncodePictures | None = None,
    ) -> None:
        self.path, self.shards, self.digest = path, dict(shards), digest
        self.description = description
        self._encode = encode
        self._held: dict[str, dict[str, np.ndarray]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._first = next(self.records(next(iter(self.shards))))

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture's features. Raises DataError as `features_of` does."""
        return tuple(self.features_of([self._first]).shape[1:])

    @property
    def holds_pictures(self) -> bool:
        """Whether the records contain pictures, which `encoded_by` turns into features."""
        return self._first.features is None

    def encoded_by(self, encode: EncodePictures, description: Mapping[str, Any]) -> ShardedFeatures:
        """Return the same shards with `encode`, which turns pictures into features, and its Encoder's description."""
        return ShardedFeatures(self.path, self.shards, self.digest, description, encode)

    def _buffer(self) -> int:
        """Return the size of the buffer from which records are drawn at random."""
        _, _, features, picture = self._first
        size = len(picture or b"") + (0 if features is None else features.nbytes // 2)
        return max(1, min(MOST_SHUFFLED, SHUFFLED_BYTES // max(1, size)))

    def records(self, split: str, seed: int | None = None) -> Iterator[Record]:
        """Yield the records of a split, in a random order from `seed` or in their own order.

        Raises:
            DataError: a shard is missing, truncated or damaged, or its number of records is not the manifest's.
        """
        if split not in self.shards:
            raise DataError(f"{self.path}: has no shards of split {split!r} (known: {', '.join(self.shards)})")
        shards = self.shards[split]
        buffer = 1 if seed is None else self._buffer()
        found = dict.fromkeys((shard.address for shard in shards), 0)
        for address, serialized in read_records(list(found), seed, buffer):
            found[address] += 1
            yield parse_record(serialized, address)
        for shard in shards:
            if shard.records is not None and shard.records != found[shard.address]:
                raise DataError(
                    f"{shard.address}: has {found[shard.address]} records, but its manifest says {shard.records}; "
                    "make the shards again"
                )

    def count(self, split: str) -> int:
        """Return the number of records of a split. Raises DataError like `records`."""
        counts = [shard.records for shard in self.shards.get(split, ())]
        if counts and None not in counts:
            return sum(count for count in counts if count is not None)
        return sum(1 for _ in self.records(split))

    def names(self, split: str) -> frozenset[str]:
        """Return the image_ids of a split's records; the split is read once. Raises DataError like `records`."""
        if split not in self._names:
            self._names[split] = frozenset(normalize_id(record.image_id) for record in self.records(split))
        return self._names[split]

    def missing(self, ids: Sequence[str], split: str) -> list[str]:
        """Return the pictures that are in no shard of a split. Raises DataError like `records`.

        If the split has as many records as there are pictures, the ids are not compared.
        """
        if self.count(split) == len(ids):
            return []
        known = self.names(split)
        return [image_id for image_id in ids if image_id not in known]

    def averaged(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features (n, channels) of pictures, averaged over regions; only the averages are kept in memory.

        Raises:
            DataError: a picture is in no shard.
        """
        wanted, found = frozenset(ids), dict[str, np.ndarray]()
        for split in sorted(self.shards, key=self.count):
            if len(found) == len(wanted):
                break
            for names, rows in self._rows(split, wanted):
                found |= dict(zip(names, rows if rows.ndim == 2 else rows.mean(axis=1), strict=True))
        self._require(ids, found)
        return np.stack([found[image_id] for image_id in ids])

    def _require(self, ids: Sequence[str], found: Collection[str]) -> None:
        if missing := [image_id for image_id in ids if image_id not in found]:
            raise DataError(
                f"{self.path}: has no record of {len(missing)} pictures (first: {missing[0]}); make the shards again"
            )

    def features_of(self, records: Sequence[Record]) -> np.ndarray:
        """Return the features (records, ...) float32 of records.

        Raises:
            DataError: they contain pictures but there is no encoder, or a picture is broken.
        """
        rows = [record.features for record in records if record.features is not None]
        if len(rows) == len(records):
            return np.stack(rows)
        if self._encode is None:
            raise DataError(
                f"{self.path}: contains pictures instead of features; use a recipe, whose encoder computes them"
            )
        return self._encode([record.picture or b"" for record in records])

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features (n, ...) of pictures. The smallest splits are read first and kept in memory.

        Raises:
            DataError: a picture is in no shard.
        """
        for split in sorted(self.shards, key=self.count):
            if all(any(image_id in held for held in self._held.values()) for image_id in ids):
                break
            if split not in self._held:
                self._held[split] = self._read(split)
        everything = {name: row for held in self._held.values() for name, row in held.items()}
        self._require(ids, everything)
        return np.stack([everything[image_id] for image_id in ids]).astype("float32")

    def _read(self, split: str) -> dict[str, np.ndarray]:
        held: dict[str, np.ndarray] = {}
        for names, rows in self._rows(split):
            held |= dict(zip(names, rows.astype("float16"), strict=True))
        return held

    def _rows(self, split: str, wanted: Collection[str] | None = None) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield image_ids and features of a split's pictures, all or the `wanted` ones, a few at a time."""
        records = ((normalize_id(record.image_id), record) for record in self.records(split))
        chosen = (pair for pair in records if wanted is None or pair[0] in wanted)
        while part := list(itertools.islice(chosen, AT_ONCE)):
            yield [name for name, _ in part], self.features_of([record for _, record in part])


def open_shards(path: str) -> ShardedFeatures:
    """Open the shards of a folder, on this machine or anywhere that TensorFlow or fsspec can read.

    Args:
        path: the folder or its address (`gs://`, `s3://`, ...). Its shards are named `SPLIT-00000-of-00008`, with or
            without `.tfrecord`.

    Raises:
        DataError: there are no shards, one is missing, or its size or digest differs from the manifest.
    """
    base = str(path).rstrip("/")
    names = sorted(_list(base))
    manifest = _manifest(base) if MANIFEST in names else {}
    listed = {entry["name"]: entry for entries in manifest.get("shards", {}).values() for entry in entries}
    found = [name for name in names if _SHARD.fullmatch(name)]
    if missing := sorted(set(listed) - set(found)):
        raise DataError(f"{base}/{missing[0]}: this shard of the manifest is missing; make the shards again")
    if not found:
        raise DataError(f"{base}: contains no shards (files such as train-00000-of-00008); captioner shard writes them")
    cache = Path(tempfile.gettempdir()) / "captioner-shards"
    shards: dict[str, list[Shard]] = {}
    made_of: dict[str, str] = {}
    for name in found:
        entry = listed.get(name)
        address = local_copy(f"{base}/{name}", cache, None if entry is None else entry["digest"])
        if entry is not None:
            _check(address, entry)
        made_of[name] = fingerprint(address) if entry is None else entry["digest"]
        match = _SHARD.fullmatch(name)
        split = split_name(match["split"]) if match else name
        shards.setdefault(split, []).append(Shard(address, None if entry is None else entry["records"]))
    return ShardedFeatures(base, shards, digest_json(made_of), manifest.get("encoder"))


def _list(base: str) -> list[str]:
    """Return the names of the files in a local or remote folder."""
    if needs_fsspec(base):
        try:
            import fsspec
        except ImportError:
            raise DataError(f"{base}: needs fsspec; pip install fsspec and the package for such addresses") from None
        try:
            system, folder = fsspec.core.url_to_fs(base)
            return [str(entry).rstrip("/").rpartition("/")[2] for entry in system.ls(folder, detail=False)]
        except Exception as error:  # every file system has its own errors
            raise DataError(f"{base}: cannot be listed ({type(error).__name__}: {error})") from None
    import tensorflow as tf

    try:
        return [name.rstrip("/") for name in tf.io.gfile.listdir(base.removeprefix("file://"))]
    except tf.errors.OpError:
        raise DataError(f"{base}: no such folder; captioner shard -o {base} makes it") from None


def _manifest(base: str) -> Mapping[str, Any]:
    if "://" not in base or base.startswith("file://"):
        return read_json(Path(base.removeprefix("file://")) / MANIFEST)
    address = f"{base}/{MANIFEST}"
    if needs_fsspec(base):
        text = read_remote(address)
    else:
        import tensorflow as tf

        try:
            text = tf.io.gfile.GFile(address).read()
        except tf.errors.OpError as error:
            raise DataError(f"{address}: cannot be read ({error})") from None
    try:
        manifest: Mapping[str, Any] = json.loads(text)
    except ValueError as error:
        raise DataError(f"{address}: is not JSON ({error}); make the shards again") from None
    return manifest


def _check(address: str, entry: Mapping[str, Any]) -> None:
    """Check a shard's size and digest.

    Raises:
        DataError: a value differs from the manifest; the message has both.
    """
    if "://" in address:
        return
    status = Path(address).stat()
    if status.st_size != entry["bytes"]:
        raise DataError(
            f"{address}: has {status.st_size} bytes, but its manifest says {entry['bytes']}; copy or make it again"
        )
    if status.st_mtime_ns == entry.get("modified"):  # unchanged: reading hundreds of gigabytes takes an hour
        return
    digest = digest_file(address)
    if digest != entry["digest"]:
        raise DataError(
            f"{address}: its digest is {digest[:12]}, but its manifest says {entry['digest'][:12]}; "
            "copy or make the shard again"
        )
