"""Public data sets: where their archives are, and downloading them to the folders of the recipes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.download.fetch import RemoteFile, fetch, require_known
from captioner.data.download.unpack import unpack
from captioner.output_places import require_space
from captioner.progress import amount
from captioner.storage import DataError, read_manifest, write_manifest, write_text

logger = logging.getLogger(__name__)

JBROWNLEE = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
COCO = "http://images.cocodataset.org"


@dataclass(frozen=True)
class Archive:
    """One archive of a data set.

    Attributes:
        url: its address.
        size: in bytes.
        digest: `sha256:...`, or `md5:...` if no SHA-256 was published.
        holds: a file or folder in the archive.
        unpacked: its approximate size in bytes after unpacking.
    """

    url: str
    size: int | None
    digest: str | None
    holds: str
    unpacked: int

    @property
    def name(self) -> str:
        """The archive's file name."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class DataSet:
    """A data set that can be downloaded.

    Attributes:
        about: a description.
        terms: its terms of use, printed before the download.
        archives: its archives.
        then: the next command.
    """

    about: str
    terms: str
    archives: tuple[Archive, ...]
    then: str


COCO_TERMS = (
    "The captions are under CC BY 4.0, the photographs under their own Flickr licences; see https://cocodataset.org."
)
# Sizes and digests are from TensorFlow Datasets, those of Flickr8k from several other projects.
DATA_SETS: dict[str, DataSet] = {
    "flickr8k": DataSet(
        "8,091 photographs, five captions each",
        "Flickr8k is for non-commercial research and education only, and may not be redistributed.",
        (
            Archive(
                f"{JBROWNLEE}/Flickr8k_text.zip", None, "md5:bf6c1abcb8e4a833b7f922104de18627",
                "Flickr8k.token.txt", 12 * 10**6,
            ),
            Archive(
                f"{JBROWNLEE}/Flickr8k_Dataset.zip", None, "md5:f18a1e2920de5bd84dae7cf08ec78978",
                "Flicker8k_Dataset", 1_130 * 10**6,
            ),
        ),
        "captioner run -c merge_vgg16",
    ),
    "coco2014": DataSet(
        "123,287 photographs (train and val), five captions each",
        COCO_TERMS,
        (
            Archive(
                f"{COCO}/annotations/annotations_trainval2014.zip", 252_872_794,
                "sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
                "annotations/captions_train2014.json", 910 * 10**6,
            ),
            Archive(
                f"{COCO}/zips/val2014.zip", 6_645_013_297,
                "sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
                "val2014", 6_660 * 10**6,
            ),
            Archive(
                f"{COCO}/zips/train2014.zip", 13_510_573_713,
                "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
                "train2014", 13_540 * 10**6,
            ),
        ),
        "captioner clean FOLDER/annotations --stats",
    ),
    "coco2017": DataSet(
        "123,287 photographs (train and val), five captions each",
        COCO_TERMS,
        (
            Archive(
                f"{COCO}/annotations/annotations_trainval2017.zip", 252_907_541,
                "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
                "annotations/captions_train2017.json", 830 * 10**6,
            ),
            Archive(
                f"{COCO}/zips/val2017.zip", 815_585_330,
                "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
                "val2017", 820 * 10**6,
            ),
            Archive(
                f"{COCO}/zips/train2017.zip", 19_336_861_798,
                "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
                "train2017", 19_370 * 10**6,
            ),
        ),
        "captioner clean FOLDER/annotations --stats",
    ),
    "karpathy": DataSet(
        "Karpathy's splits and captions of COCO, Flickr8k and Flickr30k, without pictures",
        "The captions are those of the data sets and come under their terms.",
        (
            Archive(
                "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip", 36_745_453,
                "sha256:4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817",
                "dataset_coco.json", 210 * 10**6,
            ),
        ),
        "captioner clean FOLDER/dataset_coco.json --stats",
    ),
}  # fmt: skip


def download(
    name: str,
    folder: Path,
    *,
    mirror: str | None = None,
    only: Sequence[str] = (),
    keep: bool = False,
) -> None:
    """Download and unpack a data set; existing files are not downloaded again.

    Args:
        name: in DATA_SETS.
        folder: the output folder.
        mirror: an address or a folder that has the archives under their own names.
        only: names of archives, with or without their extension; empty for all.
        keep: keep the archives.

    Raises:
        ConfigError: there is no such data set, or no such archive in it.
        DataError: an archive cannot be downloaded, is not the expected file, cannot be unpacked, or the disk is full.
    """
    if name not in DATA_SETS:
        raise ConfigError(f"{name}: no such data set (known: {', '.join(DATA_SETS)})")
    data_set = DATA_SETS[name]
    chosen = _choose(name, data_set, only)
    logger.info(f"{name}: {data_set.about}. {data_set.terms}")
    pending = [archive for archive in chosen if not _is_unpacked(archive, folder)]
    _require_room(pending, folder, keep)
    for archive in chosen:
        if archive in pending:
            _bring(archive, folder, mirror)
        if not keep and _mark(archive, folder).is_file():  # also an archive that a killed call left behind
            (folder / archive.name).unlink(missing_ok=True)
        _mark(archive, folder).unlink(missing_ok=True)
    state = "is ready" if pending else "is up to date"
    logger.info(f"{folder} {state}: {data_set.then.replace('FOLDER', str(folder))}")


def total_size(data_set: DataSet) -> str:
    """Return the approximate size of a data set on disk, as text."""
    return amount(sum(archive.unpacked for archive in data_set.archives), "B")


def _choose(name: str, data_set: DataSet, only: Sequence[str]) -> list[Archive]:
    known = {archive.name.removesuffix(".zip"): archive for archive in data_set.archives}
    if unknown := [one for one in only if one.removesuffix(".zip") not in known]:
        raise ConfigError(f"--only {unknown[0]}: {name} has no such archive (known: {', '.join(known)})")
    return [archive for key, archive in known.items() if not only or key in {one.removesuffix(".zip") for one in only}]


def _is_unpacked(archive: Archive, folder: Path) -> bool:
    return (folder / archive.holds).exists() and read_manifest(folder / archive.name) is not None


def _require_room(pending: Sequence[Archive], folder: Path, keep: bool) -> None:
    """Check the free space before the first byte. Each archive is removed after unpacking unless it is kept."""
    packed = [archive.size or archive.unpacked for archive in pending]
    there = sum(part.stat().st_size for archive in pending if (part := folder / f"{archive.name}.part").is_file())
    needed = sum(archive.unpacked for archive in pending) + (sum(packed) if keep else max(packed, default=0)) - there
    require_space(folder, needed, "downloading and unpacking")


def _mark(archive: Archive, folder: Path) -> Path:
    """Return the file that marks an archive as downloaded; an archive that the user put there is kept."""
    return folder / f".{archive.name}.fetched"


def _bring(archive: Archive, folder: Path, mirror: str | None) -> None:
    path = folder / archive.name
    if mirror is not None and Path(mirror).is_dir():
        path = Path(mirror) / archive.name
        if not path.is_file():
            raise DataError(f"{path}: no such file; --mirror names a folder that has {archive.name}")
    remote = RemoteFile(_address(archive, mirror), archive.size, archive.digest)
    if path.is_file():
        logger.info(f"{path}: exists; checking it")
        require_known(remote, path)
    else:
        size = f" ({amount(archive.size, 'B')})" if archive.size is not None else ""
        logger.info(f"downloading {remote.url}{size}")
        fetch(remote, path)
        write_text(_mark(archive, folder), "")
    files = unpack(path, folder)
    if not (folder / archive.holds).exists():
        raise DataError(f"{path}: does not contain {archive.holds}; it is not the expected archive")
    held = {"files": len(files), "bytes": path.stat().st_size, "digest": archive.digest}
    write_manifest(folder / archive.name, "download", url=remote.url, **held)
    logger.info(f"{folder}: {len(files):,} files of {archive.name}")


def _address(archive: Archive, mirror: str | None) -> str:
    return archive.url if mirror is None else f"{mirror.rstrip('/')}/{archive.name}"
