"""The Captions type: references, pictures and splits by image_id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captioner.images.ids import normalize_ids
from captioner.storage import DataError

# What data sets call their splits: name there -> name here. COCO's `restval` is train for everybody since Karpathy.
SPLIT_NAMES = {
    "training": "train",
    "restval": "train",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "development": "dev",
    "testing": "test",
}


@dataclass(frozen=True)
class Captions:
    """What a data set says about its pictures.

    Attributes:
        references: image_id -> the picture's captions as RAW text, in the order of the source.
        pictures: image_id -> the picture's file, where known.
        splits: name -> the split's image_ids in the order of the source; no id is in two splits.
        ranked: whether a picture's captions are alternatives, the best one first.
        rooted: image_id -> the absolute path or the address that the source gives, where all of its names are such.
    """

    references: Mapping[str, tuple[str, ...]]
    pictures: Mapping[str, Path] = field(default_factory=dict)
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranked: bool = False
    rooted: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def split(self, name: str) -> tuple[str, ...]:
        """Return the image_ids of a split.

        Raises:
            DataError: there is no such split; the message names those that there are.
        """
        if name not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise DataError(f"split {name!r} is not in the data (known: {known}); name its list under data.splits")
        return self.splits[name]


def references_of(captions: Captions, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the raw references of `ids`. Raises DataError where a picture has none."""
    missing = [image_id for image_id in ids if not captions.references.get(image_id)]
    if missing:
        raise DataError(
            f"{len(missing)} pictures have no references, the first is {missing[0]}; take them off the split"
        )
    return {image_id: captions.references[image_id] for image_id in ids}


def split_name(text: str) -> str:
    """Return what a split that a data set calls `text` is called here: `val` is dev, `restval` is train."""
    name = text.strip().lower()
    return SPLIT_NAMES.get(name, name)


def require_apart(splits: Mapping[str, Iterable[str]]) -> None:
    """Refuse splits that share a picture.

    Raises:
        DataError: naming the first such picture and both splits.
    """
    owners: dict[str, str] = {}
    for name, ids in splits.items():
        ids = tuple(ids)
        shared = [image_id for image_id in ids if owners.get(image_id, name) != name]
        if shared:
            raise DataError(
                f"splits {owners[shared[0]]!r} and {name!r} share {len(shared):,} pictures, first {shared[0]!r}; "
                "a picture may be in one split only"
            )
        owners.update(dict.fromkeys(ids, name))


def merge(parts: Sequence[tuple[Path, Captions]]) -> Captions:
    """Put the captions of several files together; a picture that is in two of them has the captions of both.

    Absolute paths are cut as if all of them were in one file: /data/train/1.jpg of one and /data/val/1.jpg of another
    are two pictures.

    Raises:
        DataError: a picture is in two splits.
    """
    if len(parts) == 1:
        return parts[0][1]
    references: dict[str, tuple[str, ...]] = {}
    pictures: dict[str, Path] = {}
    splits: dict[str, tuple[str, ...]] = {}
    called = _common_names([part for _, part in parts])
    for (_, part), new in zip(parts, called, strict=True):
        for image_id, captions in part.references.items():
            image_id = new.get(image_id, image_id)
            references[image_id] = (*references.get(image_id, ()), *captions)
        pictures.update({new.get(image_id, image_id): path for image_id, path in part.pictures.items()})
        for name, ids in part.splits.items():
            ids = tuple(new.get(image_id, image_id) for image_id in ids)
            splits[name] = tuple(dict.fromkeys((*splits.get(name, ()), *ids)))
    try:
        require_apart(splits)
    except DataError as error:
        raise DataError(f"{', '.join(str(path) for path, _ in parts)}: {error}") from None
    return Captions(references, pictures, splits)


def _common_names(parts: Sequence[Captions]) -> list[Mapping[str, str]]:
    """Return, for each part, image_id -> the image_id that the names of all parts together make of it."""
    if not any(part.rooted for part in parts):
        return [{} for _ in parts]
    names = [part.rooted or {image_id: image_id for image_id in part.references} for part in parts]
    ids = normalize_ids(name for part in names for name in part.values())
    return [{image_id: ids[name] for image_id, name in part.items()} for part in names]
