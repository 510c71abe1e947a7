"""A recipe's `data` section, and the captions, pictures and splits that it describes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from captioner.config import ConfigError
from captioner.data.captions import Captions, require_apart
from captioner.data.readers.detect import Sources, digest_captions, find_sources, read_data, require_format, spell
from captioner.data.splits import check_shares, default_shares, read_split, with_dev, write_splits
from captioner.images.ids import one_of_each
from captioner.images.listing import list_images
from captioner.missing import way_out
from captioner.notes import note
from captioner.storage import DataError, digest_file, digest_json, read_manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where a data set is (the `data` section of a recipe).

    Attributes:
        images: the folder of pictures; only extraction and end-to-end training need it.
        captions: the raw captions, in any supported format: a file, a folder, a pattern, or a list of these.
        format: a name in captioner.data.readers.detect.READERS, or "auto".
        splits: name -> a file that lists the split's pictures, one per line; or name -> its share of the pictures,
            which are then divided at random. If empty: the splits in the caption file, or else shares of 0.8, 0.1
            and 0.1 for train, dev and test (for under 200 pictures 0.75 and 0.25 for train and dev).
        split_seed: seed of the random division by shares.
        split_lists: the folder for the lists that are made from shares.
        near_duplicates: keep pictures that look alike in one split when dividing by shares; needs `images`.
        max_unreadable: the share of a split's pictures that may be left out because the extraction could not read them.
        descriptions: a cleaned descriptions.txt to train on instead of cleaning `captions`; scores never use it.
        source: `files`, or `tfrecord`: the recipe's `features` is then a folder of shards, see `captioner shard`.
        limit: train only on this number of pictures, the first of the split, for a quick trial; null for all.
    """

    images: str | None = None
    captions: str | tuple[str, ...]
    format: str = "auto"
    splits: dict[str, str | float] = field(default_factory=dict)
    split_seed: int = 0
    split_lists: str = "splits"
    near_duplicates: bool = True
    max_unreadable: float = 0.05
    descriptions: str | None = None
    source: Literal["files", "tfrecord"] = "files"
    limit: int | None = None

    def __post_init__(self) -> None:
        require_format(self.format)
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be 1 or more, or null, found {self.limit}")
        if self.shares and len(self.shares) != len(self.splits):
            raise ConfigError("splits: give lists for all splits or shares for all splits, not both")
        check_shares(self.shares)
        if not 0 <= self.max_unreadable <= 1:
            raise ConfigError(f"max_unreadable must be between 0 and 1, found {self.max_unreadable:g}")

    @property
    def lists(self) -> dict[str, str]:
        """The splits that are given as lists."""
        return {name: value for name, value in self.splits.items() if isinstance(value, str)}

    @property
    def shares(self) -> dict[str, float]:
        """The splits that are given as shares."""
        return {name: value for name, value in self.splits.items() if not isinstance(value, str)}


def read_captions(path: Sources, format: str = "auto") -> Mapping[str, tuple[str, ...]]:
    """Read captions: image_id -> captions, unchanged and in the order of the source.

    Args:
        path: a file, a folder, a pattern, or several.
        format: a name in captioner.data.readers.detect.READERS, or "auto" to detect it from the content.

    Raises:
        DataError: the file cannot be read, is malformed (the line is named), or holds no captions.
        ConfigError: there is no such format.
    """
    return require_captions(read_data(path, format), path)


def require_captions(captions: Captions, source: Sources) -> Mapping[str, tuple[str, ...]]:
    """Return the captions by image_id. Raises DataError if the source lists pictures only."""
    if not captions.references:
        count = f"{len(captions.pictures):,}"
        raise DataError(f"{spell(source)}: has {count} pictures but no captions; captioner predict can caption them")
    return captions.references


def as_setting(source: Sources) -> str | tuple[str, ...]:
    """Return a source of captions as DataConfig holds it."""
    return str(source) if isinstance(source, str | Path) else tuple(map(str, source))


class Dataset:
    """The captions, pictures and splits that a recipe's `data` section describes, read and hashed once.

    A command makes one and passes it from stage to stage. The captions are read once and kept; lists of splits, which
    a command may write itself, are read each time.

    Args:
        config: the section.
    """

    def __init__(self, config: DataConfig) -> None:
        self._given = config

    @cached_property
    def config(self) -> DataConfig:
        """The section, with default shares if neither it nor the caption file gives splits."""
        given = self._given
        if given.splits or self.whole.splits:
            return given
        return replace(given, splits=dict(default_shares(len(self.whole.references))))

    @cached_property
    def whole(self) -> Captions:
        """The captions of all pictures, with the caption file's splits; if it has no dev, part of train becomes dev.

        Raises:
            DataError: a file cannot be read or is malformed.
        """
        read = read_data(self._given.captions, self._given.format)
        splits = read.splits if self._given.splits else with_dev(read.splits)
        if len(splits) > len(read.splits):
            count, of = len(splits["dev"]), len(read.splits["train"])
            note(spell(self._given.captions), f"has no dev split; using {count:,} of its {of:,} training pictures")
        return replace(read, splits=splits)

    @cached_property
    def digest(self) -> str:
        """The digest of the captions. Raises DataError if they cannot be read."""
        return digest_captions(self._given.captions)

    @cached_property
    def _pictures(self) -> Mapping[str, Path]:
        images = self._given.images
        return list_images(images) if images is not None and Path(images).is_dir() else self.whole.pictures

    def load(self, splits: Sequence[str] | None = None) -> Captions:
        """Return the captions and the lists of `splits` (None: all); no other list is opened.

        Shares become lists under `splits/` when they are first needed; later calls use these lists. Pictures are
        listed, not read; if the folder does not exist, `pictures` is empty, since features are enough to train.

        Raises:
            DataError: a file cannot be used, a split is not in the data, has pictures without captions (the message
                names the first and counts them), or shares a picture with another of the splits read.
        """
        references = self.whole.references
        lists = self._make_lists() if self.config.shares else self.config.lists
        known = lists or self.whole.splits
        wanted = tuple(known) if splits is None else tuple(dict.fromkeys(splits))
        found: dict[str, tuple[str, ...]] = {}
        for name in wanted:
            if name not in known:
                names = ", ".join(known) or "none"
                raise DataError(f"split {name!r} is not in the data (known: {names}); name its list under data.splits")
            if name in lists:
                found[name] = read_split(lists[name], references)
                _check_captions(name, lists[name], found[name], references, self.config.captions)
            else:
                found[name] = self.whole.splits[name]
        require_apart(found)
        return Captions(references=references, pictures=self._pictures, splits=found)

    def present_splits(self) -> list[str] | None:
        """Return the splits whose lists exist, and log which do not; None if the splits are in the caption file."""
        lists = self.config.lists
        missing = [name for name, path in lists.items() if not Path(path).is_file()]
        for name in missing:
            what = "is a folder, not a list" if Path(lists[name]).is_dir() else "does not exist"
            logger.warning(f"split {name} is left out: {lists[name]} {what}")
        return [name for name in self.config.splits if name not in missing] if self.config.splits else None

    def split_digests(self) -> dict[str, str]:
        """Return the digest of each existing list of pictures, including the lists made from shares.

        Splits in the caption file have no digest: they depend only on the captions' digest.
        """
        lists = self._made_lists() if self.config.shares else self.config.lists
        return {name: digest_file(path) for name, path in lists.items() if Path(path).is_file()}

    def has_split(self, name: str) -> bool:
        """Return whether the pictures of a split are known: its list exists, or the caption file has the split."""
        if name in self.config.lists:
            return Path(self.config.lists[name]).is_file()
        return name in (self.config.splits or self.whole.splits)

    def require_split(self, name: str, where: str) -> None:
        """Raise an error, before hours of work, if a split that is needed at the end does not exist.

        Args:
            name: the split.
            where: the setting that names it, for messages.

        Raises:
            ConfigError: there is no such split.
            DataError: its list does not exist, or the captions cannot be read.
        """
        known, lists = self.config.splits or self.whole.splits, self.config.lists
        if name not in known:
            names = ", ".join(known) or "none"
            raise ConfigError(f"{where}: {name!r} is not in data.splits (known: {names}); name its list there")
        if name in lists and not Path(lists[name]).is_file():
            way = way_out(lists[name], f"data.splits.{name} is evaluated at the end")
            raise DataError(f"{lists[name]}: no such file; {way}")
        if self.config.shares:
            self.load((name,))

    @property
    def _made_folder(self) -> Path:
        """The folder of the lists for these shares and captions; other settings have another folder."""
        config = self.config
        made_of = {
            "captions": self.digest,
            "shares": config.shares,
            "seed": config.split_seed,
            "near_duplicates": config.near_duplicates and config.images is not None,
        }
        return Path(config.split_lists) / f"{find_sources(config.captions)[0].stem}-{digest_json(made_of)[:8]}"

    def _made_lists(self) -> dict[str, str]:
        folder = self._made_folder
        return {name: str(folder / f"{name}.txt") for name in self.config.shares}

    def _make_lists(self) -> dict[str, str]:
        config, folder = self.config, self._made_folder
        if not folder.is_dir() or read_manifest(folder) is None:
            images = config.images if config.images is not None and Path(config.images).is_dir() else None
            if config.near_duplicates and images is None and config.images is not None:
                raise DataError(
                    f"{config.images}: no such folder; dividing by shares looks there for near-duplicate pictures. "
                    f"Put the pictures there, copy existing lists to {folder}, or set data.near_duplicates to false"
                )
            shares, seed, compare = config.shares, config.split_seed, config.near_duplicates
            write_splits(folder, self.whole.references, shares, seed, images, compare)
        return self._made_lists()


def load_captions(config: DataConfig, splits: Sequence[str] | None = None) -> Captions:
    """Read the captions and the lists of `splits`, see `Dataset.load`."""
    return Dataset(config).load(splits)


def _check_captions(
    name: str, path: str, ids: Sequence[str], references: Mapping[str, tuple[str, ...]], source: Sources
) -> None:
    missing = [image_id for image_id in ids if image_id not in references]
    if missing and len(missing) == len(ids):
        raise DataError(f"{path} and {spell(source)} have {one_of_each(ids, references)}; their pictures differ")
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of the {len(ids):,} pictures of split {name!r} have no caption in "
            f"{spell(source)} (first: {missing[0]!r}); correct the list or data.captions"
        )
