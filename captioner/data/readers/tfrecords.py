"""Reads captions from TFRecord shards: those of captioner, and those of others with the usual keys."""

from __future__ import annotations

from pathlib import Path

from captioner.data.captions import Captions
from captioner.data.readers.collect import Row, collect
from captioner.data.shards.store import MANIFEST, open_shards
from captioner.images.ids import normalize_id
from captioner.storage import DataError

CAPTIONS = "captions.json"  # beside captioner's shards, so that captions are read without the features


def read_shards(path: str | Path) -> Captions:
    """Read the captions and splits of a folder of shards.

    Raises:
        DataError: there are no shards, a shard is broken, or they contain no captions.
    """
    from captioner.data.readers.coco import read_karpathy

    beside = Path(path) / CAPTIONS
    if beside.is_file() and (Path(path) / MANIFEST).is_file():
        return read_karpathy(beside)
    store = open_shards(str(path))
    rows = []
    for split in store.shards:
        for record in store.records(split):
            if not record.captions:
                raise DataError(
                    f"{path}: picture {normalize_id(record.image_id)!r} has no caption; name a caption file"
                )
            rows.append(Row(record.image_id, record.captions, split))
    return collect(path, rows)
