"""Write the features or pictures of a data set, with its captions, into TFRecord shards that training streams."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from captioner.data.captions import Captions
from captioner.data.readers.tfrecords import CAPTIONS
from captioner.data.shards.records import Record, write_shard
from captioner.data.shards.store import MANIFEST
from captioner.features.store import FeatureStore
from captioner.storage import MANIFEST_VERSION, DataError, digest_json, read_json, write_json

logger = logging.getLogger(__name__)

What = Literal["features", "pictures"]
PICTURES_A_SHARD = 1024


def shard(
    captions: Captions,
    folder: Path,
    features: FeatureStore | None = None,
    *,
    pictures_a_shard: int = PICTURES_A_SHARD,
    overwrite: bool = False,
) -> dict[str, int]:
    """Write shards SPLIT-00000-of-00008.tfrecord, captions.json and, last, manifest.json.

    Run the same command again to continue an interrupted run: complete shards are kept.

    Args:
        captions: references, splits and, for shards of pictures, the paths of the pictures.
        folder: folder for the shards.
        features: features to put into the shards; None for the picture files themselves.
        pictures_a_shard: maximum number of pictures in a shard.
        overwrite: replace shards of other data.

    Returns:
        number of pictures by split.

    Raises:
        DataError: the folder contains shards of other data, a picture is missing, or the disk is full.
    """
    if not captions.splits:
        raise DataError("these captions have no splits; name lists of pictures under data.splits")
    made_of = {
        "splits": {name: list(ids) for name, ids in captions.splits.items()},
        "captions": {name: list(captions.references[name]) for ids in captions.splits.values() for name in ids},
        "features": None if features is None else features.digest,
        "pictures_a_shard": pictures_a_shard,
    }
    identity = digest_json(made_of)
    before = _before(folder, identity, overwrite)
    written: dict[str, list[dict[str, Any]]] = {}
    for split, ids in captions.splits.items():
        parts = [ids[at : at + pictures_a_shard] for at in range(0, len(ids), pictures_a_shard)]
        written[split] = []
        for number, part in enumerate(parts):
            name = f"{split}-{number:05d}-of-{len(parts):05d}.tfrecord"
            kept = before.get(name)
            if kept is None or not (folder / name).is_file() or (folder / name).stat().st_size != kept["bytes"]:
                kept = write_shard(folder / name, _records(captions, part, features))._asdict()
                before[name] = kept
                write_json(folder / _PENDING, {"identity": identity, "shards": before})
                logger.info("%s: %d pictures", folder / name, len(part))
            written[split].append(kept)
    write_json(folder / CAPTIONS, _karpathy(captions))
    manifest = {
        "manifest": MANIFEST_VERSION,
        "stage": "shard",
        "identity": identity,
        "holds": "pictures" if features is None else "features",
        "encoder": None if features is None else features.description,
        "shards": written,
    }
    write_json(folder / MANIFEST, manifest)
    (folder / _PENDING).unlink(missing_ok=True)
    return {split: len(ids) for split, ids in captions.splits.items()}


_PENDING = ".shards.json"


def _before(folder: Path, identity: str, overwrite: bool) -> dict[str, dict[str, Any]]:
    """Return the shards that an interrupted or finished run of the same data has written, by name."""
    for path in (folder / MANIFEST, folder / _PENDING):
        if not path.is_file():
            continue
        content = read_json(path)
        if content.get("identity") == identity:
            shards = content["shards"]
            entries = [entry for several in shards.values() for entry in several] if path.name == MANIFEST else None
            return shards if entries is None else {entry["name"]: entry for entry in entries}
        if not overwrite:
            raise DataError(f"{folder}: contains shards of other data; give another folder, or --overwrite")
        for old in folder.glob("*-of-*.tfrecord"):
            old.unlink()
        path.unlink()
    return {}


def _records(captions: Captions, ids: Sequence[str], features: FeatureStore | None) -> Iterator[Record]:
    for image_id in ids:
        texts = captions.references[image_id]
        if features is not None:
            yield Record(image_id, texts, features=features.gather([image_id])[0])
            continue
        path = captions.pictures.get(image_id)
        if path is None:
            raise DataError(f"picture {image_id!r} is not in the folder of pictures; name it with data.images")
        try:
            yield Record(image_id, texts, picture=path.read_bytes())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _karpathy(captions: Captions) -> dict[str, Any]:
    """Return captions and splits in the format of Karpathy's dataset_*.json."""
    images = [
        {"filename": image_id, "split": split, "sentences": [{"raw": text} for text in captions.references[image_id]]}
        for split, ids in captions.splits.items()
        for image_id in ids
    ]
    return {"dataset": "captioner", "images": images}
