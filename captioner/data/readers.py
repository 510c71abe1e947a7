"""Caption files of every supported form, told apart by their content, and a recipe's `data` section as Captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.captions import Captions
from captioner.data.coco import read_coco
from captioner.data.flickr import TOKEN_LINE, is_table_header, lines, read_descriptions, read_table, read_tokens
from captioner.storage import DataError
from captioner.vision.images import list_images, normalize_id

Reader = Callable[[str | Path], dict[str, tuple[str, ...]]]

# flickr: `name.jpg#0<TAB>caption`; csv: a table with a header; coco: JSON; descriptions: `image_id caption`
READERS: dict[str, Reader] = {
    "flickr": read_tokens,
    "csv": read_table,
    "coco": read_coco,
    "descriptions": read_descriptions,
}


def read_captions(path: str | Path, format: str = "auto") -> dict[str, tuple[str, ...]]:
    """Read a caption file: image_id -> captions as they stand in it, both in its order.

    Args:
        path: the file.
        format: a name in READERS, or "auto" to tell it from the file's content.

    Raises:
        DataError: the file cannot be read, is empty or malformed; the line is named.
        ConfigError: there is no such format.
    """
    if format == "auto":
        format = detect_format(path)
    if format not in READERS:
        raise ConfigError(f"format: {format!r} is not known (known: auto, {', '.join(READERS)})")
    return READERS[format](path)


def detect_format(path: str | Path) -> str:
    """Return the name in READERS of the form that a caption file has, told from its first line.

    Raises:
        DataError: the file cannot be read or is empty.
    """
    first = next((line for _, line in lines(path)), None)
    if first is None:
        raise DataError(f"{path}: empty; name a caption file")
    if first.lstrip()[0] in "{[":
        return "coco"
    if TOKEN_LINE.fullmatch(first):
        return "flickr"
    return "csv" if is_table_header(first) else "descriptions"


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where a data set lies (the `data` section of a recipe).

    Attributes:
        images: the folder of pictures; only extraction and end-to-end training need it to be there.
        captions: the file of raw captions, in any supported form.
        format: a name in READERS, or "auto".
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
