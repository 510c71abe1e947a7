"""The Captions type: references, pictures and splits by image_id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captioner.images.ids import normalize_ids
from captioner.storage import DataError

# The data sets' names of splits -> captioner's names. COCO's `restval` counts as train since Karpathy's splits.
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
    """A data set's captions, pictures and splits.

    Attributes:
        references: image_id -> the picture's captions as RAW text, in the order of the source.
        pictures: image_id -> the picture's file, where known.
        splits: name -> the split's image_ids in the order of the source; no id is in two splits.
        ranked: whether a picture's captions are alternatives, the best first.
        rooted: image_id -> the absolute path or the address in the source, if all names in the source are of this kind.
    """

    references: Mapping[str, tuple[str, ...]]
    pictures: Mapping[str, Path] = field(default_factory=dict)
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranked: bool = False
    rooted: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def split(self, name: str) -> tuple[str, ...]:
        """Return the image_ids of a split.

        Raises:
            DataError: there is no such split; the message names the existing splits.
        """
        if name not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise DataError(f"split {name!r} is not in the data (known: {known}); name its list under data.splits")
        return self.splits[name]


def references_of(captions: Captions, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the raw references of `ids`. Raises DataError if a picture has none."""
    missing = [image_id for image_id in ids if not captions.references.get(image_id)]
    if missing:
        raise DataError(f"{len(missing)} pictures have no references (first: {missing[0]}); remove them from the split")
    return {image_id: captions.references[image_id] for image_id in ids}


def split_name(text: str) -> str:
    """Return captioner's name of the split that a data set calls `text`: `val` is dev, `restval` is train."""
    name = text.strip().lower()
    return SPLIT_NAMES.get(name, name)


def require_apart(splits: Mapping[str, Iterable[str]]) -> None:
    """Raise an error if splits share a picture.

    Raises:
        DataError: names the first such picture and both splits.
    """
    owners: dict[str, str] = {}
    for name, ids in splits.items():
        ids = tuple(ids)
        shared = [image_id for image_id in ids if owners.get(image_id, name) != name]
        if shared:
            raise DataError(
                f"splits {owners[shared[0]]!r} and {name!r} share {len(shared):,} pictures (first: {shared[0]!r}); "
                "a picture may be in one split only"
            )
        owners.update(dict.fromkeys(ids, name))


def merge(parts: Sequence[tuple[Path, Captions]]) -> Captions:
    """Merge the captions of several files; a picture that is in two of them has the captions of both.

    Absolute paths are shortened as if they were all in one file: /data/train/1.jpg in one file and /data/val/1.jpg in
    another are two pictures.

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
    """Return, for each part, image_id -> the image_id that results from the names of all parts together."""
    if not any(part.rooted for part in parts):
        return [{} for _ in parts]
    names = [part.rooted or {image_id: image_id for image_id in part.references} for part in parts]
    ids = normalize_ids(name for part in names for name in part.values())
    return [{image_id: ids[name] for image_id, name in part.items()} for part in names]
