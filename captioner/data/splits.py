"""Splits: lists of pictures as files, splits made from shares, and pictures that are in two splits."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.duplicates import confirmed, hash_pictures, near_duplicates
from captioner.data.readers.columns import IMAGE_COLUMNS, plain_name
from captioner.data.readers.flickr import lines
from captioner.data.readers.kinds import LFS_POINTER, name_kind
from captioner.images.ids import align, is_picture_name, normalize_ids, one_of_each, spell_id
from captioner.images.listing import list_images
from captioner.notes import note
from captioner.storage import (
    DataError,
    digest_bytes,
    manifest_path,
    read_manifest,
    remove_manifest,
    write_manifest,
    write_text,
)

logger = logging.getLogger(__name__)

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
FEW, FEW_SHARES = 200, {"train": 0.75, "dev": 0.25}  # a tenth of few pictures is too few to compare epochs
FEWEST = 8  # the fewest training pictures that are divided into train and dev
PENDING = ".split.pending"  # marks a folder whose lists are being written, so that a killed command can be repeated
_NAME = re.compile(r"\w[\w-]*")  # of a list
SHOWN = 3  # groups or names in a message


def read_split(path: str | Path, known: Collection[str] = ()) -> tuple[str, ...]:
    """Read a list of pictures, one per line (file names or image_ids); return their image_ids in order, each once.

    Args:
        path: the list.
        known: the data's image_ids. If none of the list is among them, pictures with the same name in another folder
            are used.

    Raises:
        DataError: the file cannot be read or names no picture.
    """
    names = dict.fromkeys(_listed(path, known))
    ids = tuple(dict.fromkeys(normalize_ids(names).values()))
    if not ids:
        raise DataError(f"{path}: names no picture; list one picture per line")
    if meant := align(ids, known):
        first = next(iter(meant))
        note(path, f"names pictures in other folders than the captions; {first} is read as {meant[first]}")
    return tuple(dict.fromkeys(meant.get(image_id, image_id) for image_id in ids))


def _listed(path: str | Path, known: Collection[str]) -> list[str]:
    """Return the names in a list, without a header: one name per line, or a JSON list."""
    found = [line for _, line in lines(path)]
    if found and found[0].encode(errors="replace").startswith(LFS_POINTER):
        raise DataError(f"{path}: {name_kind(LFS_POINTER)}")
    if found and found[0].lstrip().startswith("[") and (listed := _json_names("\n".join(found))) is not None:
        return listed
    names = [_name(line) for line in found]
    has_header = len(names) > 1 and plain_name(names[0]) in IMAGE_COLUMNS and names[0] not in known
    return names[has_header:]


def _json_names(text: str) -> list[str] | None:
    try:
        names = [spell_id(name) for name in json.loads(text)]
    except (ValueError, RecursionError):
        return None
    return [name for name in names if name is not None] if None not in names else None


def _name(line: str) -> str:
    """Return the picture that a line names, without row numbers or class labels beside it."""
    name = line.strip().strip('",;').strip()
    cells = [cell.strip().strip('"') for cell in re.split("[,;\t]", name)]
    others = [cell for cell in cells if not is_picture_name(cell)]
    if len(cells) == len(others) + 1 and others and all(map(str.isdecimal, others)):
        return next(cell for cell in cells if cell not in others)
    before, _, behind = name.rpartition(" ")
    return before.strip() if behind.isdigit() and is_picture_name(before) else name


def default_shares(pictures: int) -> Mapping[str, float]:
    """Return the default shares for this number of pictures."""
    return FEW_SHARES if pictures < FEW else SHARES


def with_dev(splits: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the splits; if there is no dev split, some training pictures become one, since training needs it.

    Too few pictures are not divided.
    """
    train = splits.get("train", ())
    if "dev" in splits or len(train) < FEWEST:
        return dict(splits)
    dev = default_shares(len(train))["dev"]
    return {**splits, **make_splits(train, {"train": 1 - dev, "dev": dev})}


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise ConfigError if a name is no file name, a share is not a fraction, or the shares add up to more than 1."""
    if unusual := [name for name in shares if not _NAME.fullmatch(name)]:
        raise ConfigError(f"splits: {unusual[0]!r} cannot be the name of a list; use letters, digits, - and _")
    if odd := [name for name, share in shares.items() if not 0 < share <= 1]:
        raise ConfigError(f"splits.{odd[0]}: a share must be above 0 and at most 1, found {shares[odd[0]]}")
    if (whole := math.fsum(shares.values())) > 1 + 1e-9:
        raise ConfigError(f"splits: the shares add up to {whole:g}; they must not exceed 1")


def make_splits(
    ids: Iterable[str], shares: Mapping[str, float], seed: int = 0, groups: Iterable[Sequence[str]] = ()
) -> dict[str, tuple[str, ...]]:
    """Divide pictures at random.

    A picture's split depends only on its id and the seed, so nearly all pictures keep their split when others are
    added later.

    Args:
        ids: the pictures.
        shares: name -> the split's share of them; the remaining pictures are in no split.
        seed: seed of the random order.
        groups: pictures that must stay together.

    Returns:
        name -> image_ids, sorted.

    Raises:
        ConfigError: see `check_shares`.
        DataError: a split would be empty.
    """
    check_shares(shares)
    known = sorted(set(ids))
    leaders = {member: min(group) for group in groups for member in group}
    together: dict[str, list[str]] = {}
    for name in known:
        together.setdefault(leaders.get(name, name), []).append(name)
    order = sorted(together, key=lambda leader: digest_bytes(f"{seed} {leader}".encode()))
    names = list(shares)
    ends = [round(len(known) * math.fsum(list(shares.values())[: index + 1])) for index in range(len(names))]
    splits: dict[str, list[str]] = {name: [] for name in names}
    placed = 0
    for leader in order:
        side = next((name for name, end in zip(names, ends, strict=True) if placed < end), None)
        if side is not None:
            splits[side] += together[leader]
        placed += len(together[leader])
    if empty := [name for name in names if not splits[name]]:
        alike = f", {len(order):,} that do not look alike," if len(order) < len(known) else ""
        share = f"{empty[0]!r} with a share of {shares[empty[0]]:g}"
        raise DataError(
            f"{len(known):,} pictures{alike} are too few for a split {share}; use more pictures, or fewer shares"
        )
    return {name: tuple(sorted(members)) for name, members in splits.items()}


def write_splits(
    folder: Path,
    ids: Iterable[str],
    shares: Mapping[str, float],
    seed: int = 0,
    images: str | Path | None = None,
    compare: bool = True,
) -> dict[str, Path]:
    """Divide pictures at random and write a list for each split, `train.txt` and so on, with a manifest beside them.

    Args:
        folder: the folder for the lists.
        ids, shares, seed: see `make_splits`.
        images: the pictures' folder; pictures that are not in it are left out. None: use only the ids.
        compare: keep pictures of that folder that look alike in one split.

    Returns:
        name -> the list.

    Raises:
        ConfigError, DataError: see `make_splits`; or the folder of pictures does not exist; or `folder` already has
            lists, or the manifest of another stage, that this function did not write.
    """
    check_shares(shares)
    former = _require_own_lists(folder, shares)
    known = set(ids)
    groups: list[tuple[str, ...]] = []
    if images is not None:
        pictures = {name: path for name, path in list_images(images).items() if name in known}
        if missing := sorted(known - pictures.keys()):
            count = f"{len(missing):,} of {len(known):,} pictures"
            if not pictures:
                raise DataError(f"{images} and the captions have {one_of_each(list_images(images), missing)}")
            logger.warning(f"{count} are not in {images} and are left out of all splits ({_first(missing)})")
        if compare:
            hashes = hash_pictures(pictures)
            if broken := [name for name in pictures if name not in hashes]:
                count = f"{len(broken):,} of {len(pictures):,} pictures in {images}"
                logger.warning(f"{count} cannot be read and are left out of all splits ({_first(broken)})")
            pictures = {name: pictures[name] for name in hashes}
            groups = confirmed(near_duplicates(hashes), pictures)
        known = set(pictures)
        if groups:
            logger.info(f"near-duplicate pictures, kept in one split: {describe_groups(groups)}")
    splits = make_splits(known, shares, seed, groups)
    write_text(folder / PENDING, "")
    remove_manifest(folder)
    for path in former:
        path.unlink(missing_ok=True)
    paths = {name: folder / f"{name}.txt" for name in splits}
    for name, members in splits.items():
        write_text(paths[name], "".join(f"{member}\n" for member in members))
        logger.info(f"{paths[name]}: {len(members):,} pictures")
    write_manifest(
        folder, "split", shares=dict(shares), seed=seed, images=None if images is None else str(images),
        near_duplicates=[list(group) for group in groups],
    )  # fmt: skip
    (folder / PENDING).unlink()
    return paths


def _require_own_lists(folder: Path, names: Iterable[str]) -> list[Path]:
    """Raise an error rather than replace lists that were made by hand, or the manifest of another stage.

    Returns:
        the lists of an earlier division.
    """
    if (folder / PENDING).is_file() or not folder.is_dir():
        return []
    manifest = read_manifest(folder) or {"stage": "split"}
    lists = [folder / f"{name}.txt" for name in names if name not in manifest.get("shares", {})]
    taken = next((path for path in lists if path.is_file() and path.stat().st_size), None)
    if manifest["stage"] != "split":
        taken = manifest_path(folder)
    if taken is not None:
        raise DataError(
            f"{taken}: already exists and was not written by captioner split; name another folder with -o, or remove it"
        )
    return [folder / f"{name}.txt" for name in manifest.get("shares", {}) if _NAME.fullmatch(name)]


def require_different(splits: Mapping[str, Sequence[str]], images: str | Path) -> int:
    """Raise an error if two splits have pictures that look alike; return how many pictures were compared.

    Raises:
        DataError: names the first such pictures and their splits, and counts the groups.
    """
    owners = {image_id: name for name, ids in splits.items() for image_id in ids}
    pictures = {name: path for name, path in list_images(images).items() if name in owners}
    hashes = hash_pictures(pictures)
    if broken := len(pictures) - len(hashes):
        logger.warning(f"{broken:,} of {len(pictures):,} pictures cannot be read and are not compared with the others")
    groups = confirmed(near_duplicates(hashes), pictures)
    leaks = [group for group in groups if len({owners[image_id] for image_id in group}) > 1]
    if leaks:
        first = ", ".join(f"{image_id} in {owners[image_id]}" for image_id in leaks[0])
        raise DataError(
            f"{images}: {len(leaks):,} {'pictures are' if len(leaks) > 1 else 'picture is'} in two splits under "
            f"two names (first: {first}); remove one of them from its list"
        )
    return len(pictures)


def describe_groups(groups: Sequence[Sequence[str]]) -> str:
    """Return groups of pictures on one line: how many, and the first of them."""
    noun = "group" if len(groups) == 1 else "groups"
    return f"{len(groups):,} {noun} ({_first([' = '.join(group) for group in groups])})"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
