"""The Captions type: references, pictures and splits by image_id, and how a recipe's `data` section becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captioner.data.flickr import lines
from captioner.data.readers import READERS, read_captions
from captioner.storage import DataError
from captioner.vision.images import list_images, normalize_id


@dataclass(frozen=True)
class Captions:
    """What a data set says about its pictures.

    Attributes:
        references: image_id -> the picture's captions as RAW text, in the order of the source.
        pictures: image_id -> the picture's file, where known.
        splits: name -> the split's image_ids in the order of the source; no id stands in two splits.
    """

    references: Mapping[str, tuple[str, ...]]
    pictures: Mapping[str, Path] = field(default_factory=dict)
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def split(self, name: str) -> tuple[str, ...]:
        """Return the image_ids of a split.

        Raises:
            DataError: there is no such split; the message names those that there are.
        """
        if name not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise DataError(f"split {name!r} is not in the data (known: {known}); name its list under data.splits")
        return self.splits[name]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where a data set lies (the `data` section of a recipe).

    Attributes:
        images: the folder of pictures; only extraction and end-to-end training need it to be there.
        captions: the file of raw captions, in any supported form.
        format: a name in `captioner.data.readers.READERS`, or "auto".
        splits: name -> a file that lists the split's pictures, one a line.
        descriptions: a cleaned descriptions.txt to train on instead of cleaning `captions`; scores never use it.
    """

    images: str | None = None
    captions: str
    format: str = "auto"
    splits: dict[str, str] = field(default_factory=dict)
    descriptions: str | None = None

    def __post_init__(self) -> None:
        if self.format not in ("auto", *READERS):
            raise ValueError(f"format {self.format!r} is not known (known: auto, {', '.join(READERS)})")


def load_captions(config: DataConfig, splits: Sequence[str] | None = None) -> Captions:
    """Read the caption file and the lists of `splits` (None: all); no other list is opened.

    Pictures are listed, not read; a folder that is not there leaves `pictures` empty, since features suffice to train.

    Raises:
        DataError: a file cannot be used, a split is not in the data, names a picture without captions (the first is
            named and all are counted), or shares a picture with another of the splits read.
    """
    references = read_captions(config.captions, config.format)
    wanted = tuple(config.splits) if splits is None else tuple(dict.fromkeys(splits))
    lists: dict[str, tuple[str, ...]] = {}
    owners: dict[str, str] = {}
    for name in wanted:
        if name not in config.splits:
            known = ", ".join(config.splits) or "none"
            raise DataError(f"split {name!r} is not in the data (known: {known}); name its list under data.splits")
        path = config.splits[name]
        lists[name] = read_split(path)
        _check_captions(name, path, lists[name], references, config.captions)
        _check_leak(name, lists[name], owners)
    folder_is_there = config.images is not None and Path(config.images).is_dir()
    pictures = list_images(config.images) if config.images is not None and folder_is_there else {}
    return Captions(references=references, pictures=pictures, splits=lists)


def read_split(path: str | Path) -> tuple[str, ...]:
    """Read a list of pictures, one a line (file names or image_ids): their image_ids in its order, each once.

    Raises:
        DataError: the file cannot be read or names no picture.
    """
    ids = tuple(dict.fromkeys(normalize_id(line.strip()) for _, line in lines(path)))
    if not ids:
        raise DataError(f"{path}: names no picture; list one a line")
    return ids


def _check_captions(
    name: str, path: str, ids: Sequence[str], references: Mapping[str, tuple[str, ...]], source: str
) -> None:
    missing = [image_id for image_id in ids if image_id not in references]
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of the {len(ids):,} pictures of split {name!r} have no caption in {source}, "
            f"first {missing[0]!r}; correct the list or data.captions"
        )


def _check_leak(name: str, ids: Sequence[str], owners: dict[str, str]) -> None:
    shared = [image_id for image_id in ids if image_id in owners]
    if shared:
        raise DataError(
            f"splits {owners[shared[0]]!r} and {name!r} share {len(shared):,} pictures, first {shared[0]!r}; "
            "a picture may stand in one split only"
        )
    owners.update(dict.fromkeys(ids, name))
