"""A recipe's `data` section, and the captions, pictures and splits that it means."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.captions import Captions, require_apart
from captioner.data.readers.detect import Sources, digest_captions, find_sources, read_data, require_format, spell
from captioner.data.splits import check_shares, read_split, write_splits
from captioner.images.listing import list_images
from captioner.storage import DataError, digest_file, digest_json, read_manifest

logger = logging.getLogger(__name__)

MADE = Path("splits")  # where the lists of made splits go, under the current folder as features and runs do


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where a data set lies (the `data` section of a recipe).

    Attributes:
        images: the folder of pictures; only extraction and end-to-end training need it to be there.
        captions: the raw captions, in any supported form: a file, a folder, a pattern, or a list of these.
        format: a name in captioner.data.readers.detect.READERS, or "auto".
        splits: name -> a file that lists the split's pictures, one a line; or name -> its share of the pictures, which
            are then divided at random. Without any, the splits that the captions carry.
        split_seed: of the division by shares.
        near_duplicates: keep pictures that look alike on one side of a division by shares; needs `images`.
        descriptions: a cleaned descriptions.txt to train on instead of cleaning `captions`; scores never use it.
    """

    images: str | None = None
    captions: str | tuple[str, ...]
    format: str = "auto"
    splits: dict[str, str | float] = field(default_factory=dict)
    split_seed: int = 0
    near_duplicates: bool = True
    descriptions: str | None = None

    def __post_init__(self) -> None:
        require_format(self.format)
        if self.shares and len(self.shares) != len(self.splits):
            raise ConfigError("splits: all of them are lists, or all of them shares")
        check_shares(self.shares)

    @property
    def lists(self) -> dict[str, str]:
        """The splits that are given as lists."""
        return {name: value for name, value in self.splits.items() if isinstance(value, str)}

    @property
    def shares(self) -> dict[str, float]:
        """The splits that are given as shares."""
        return {name: value for name, value in self.splits.items() if not isinstance(value, str)}


def read_captions(path: Sources, format: str = "auto") -> Mapping[str, tuple[str, ...]]:
    """Read captions: image_id -> captions as they stand in the source, both in its order.

    Args:
        path: a file, a folder, a pattern, or several.
        format: a name in captioner.data.readers.detect.READERS, or "auto" to tell it from the content.

    Raises:
        DataError: the file cannot be read, is malformed (the line is named), or holds no captions.
        ConfigError: there is no such format.
    """
    captions = read_data(path, format)
    if not captions.references:
        raise DataError(
            f"{spell(path)}: lists {len(captions.pictures):,} pictures and no captions; captioner predict captions them"
        )
    return captions.references


def load_captions(config: DataConfig, splits: Sequence[str] | None = None) -> Captions:
    """Read the captions and the lists of `splits` (None: all); no other list is opened.

    Shares become lists under `splits/` when they are first needed, and those lists count from then on. Pictures are
    listed, not read; a folder that is not there leaves `pictures` empty, since features suffice to train.

    Raises:
        DataError: a file cannot be used, a split is not in the data, names a picture without captions (the first is
            named and all are counted), or shares a picture with another of the splits read.
    """
    captions = read_data(config.captions, config.format)
    lists = _make_lists(config, captions) if config.shares else config.lists
    known = lists or captions.splits
    wanted = tuple(known) if splits is None else tuple(dict.fromkeys(splits))
    found: dict[str, tuple[str, ...]] = {}
    for name in wanted:
        if name not in known:
            names = ", ".join(known) or "none"
            raise DataError(f"split {name!r} is not in the data (known: {names}); name its list under data.splits")
        if name in lists:
            found[name] = read_split(lists[name])
            _check_captions(name, lists[name], found[name], captions.references, config.captions)
        else:
            found[name] = captions.splits[name]
    require_apart(found)
    folder_is_there = config.images is not None and Path(config.images).is_dir()
    pictures = list_images(config.images) if config.images is not None and folder_is_there else captions.pictures
    return Captions(references=captions.references, pictures=pictures, splits=found)


def _check_captions(
    name: str, path: str, ids: Sequence[str], references: Mapping[str, tuple[str, ...]], source: Sources
) -> None:
    missing = [image_id for image_id in ids if image_id not in references]
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of the {len(ids):,} pictures of split {name!r} have no caption in "
            f"{spell(source)}, first {missing[0]!r}; correct the list or data.captions"
        )


def _made_folder(config: DataConfig) -> Path:
    """Return where the lists of these shares of these captions lie: other settings have another place."""
    made_of = {
        "captions": digest_captions(config.captions),
        "shares": config.shares,
        "seed": config.split_seed,
        "near_duplicates": config.near_duplicates and config.images is not None,
    }
    return MADE / f"{find_sources(config.captions)[0].stem}-{digest_json(made_of)[:8]}"


def _made_lists(config: DataConfig) -> dict[str, str]:
    folder = _made_folder(config)
    return {name: str(folder / f"{name}.txt") for name in config.shares}


def _make_lists(config: DataConfig, captions: Captions) -> dict[str, str]:
    folder = _made_folder(config)
    if not folder.is_dir() or read_manifest(folder) is None:
        images = config.images if config.images is not None and Path(config.images).is_dir() else None
        if config.near_duplicates and images is None and config.images is not None:
            raise DataError(
                f"{config.images}: no such folder; dividing by shares looks there for near-duplicate pictures. Put the "
                f"pictures there, copy the lists made elsewhere to {folder}, or set data.near_duplicates to false"
            )
        shares, seed, compare = config.shares, config.split_seed, config.near_duplicates
        write_splits(folder, captions.references, shares, seed, images, compare)
    return _made_lists(config)


def present_splits(config: DataConfig) -> list[str] | None:
    """Return the splits whose lists are there, and say which are not; None for the splits that the captions carry."""
    missing = [name for name, path in config.lists.items() if not Path(path).is_file()]
    for name in missing:
        logger.warning(f"split {name} is left out: {config.lists[name]} is not there")
    return [name for name in config.splits if name not in missing] if config.splits else None


def split_digests(config: DataConfig) -> dict[str, str]:
    """Return the digest of each list of pictures that there is, those made of shares among them.

    Splits that the captions carry have none: what is in them hangs on the captions' digest alone.
    """
    lists = _made_lists(config) if config.shares else config.lists
    return {name: digest_file(path) for name, path in lists.items() if Path(path).is_file()}


def has_split(config: DataConfig, name: str) -> bool:
    """Return whether the pictures of a split are known: its list is there, or the captions carry it."""
    if name in config.lists:
        return Path(config.lists[name]).is_file()
    return name in (config.splits or read_data(config.captions, config.format).splits)


def require_split(config: DataConfig, name: str, where: str) -> None:
    """Refuse, before hours of work, a split that will be needed in the end and is not there.

    Args:
        config: the data.
        name: the split.
        where: the setting that asks for it, for messages.

    Raises:
        ConfigError: there is no such split.
        DataError: its list is not there, or the captions cannot be read.
    """
    known = config.splits or read_data(config.captions, config.format).splits
    if name not in known:
        names = ", ".join(known) or "none"
        raise ConfigError(f"{where}: {name!r} is not in data.splits (known: {names}); name its list there")
    if name in config.lists and not Path(config.lists[name]).is_file():
        raise DataError(f"{config.lists[name]}: no such file; data.splits.{name} is evaluated in the end")
    if config.shares:
        load_captions(config, (name,))
