"""A recipe for somebody's own pictures: look at what lies in a folder, and write captioner.yaml with comments."""

from __future__ import annotations

import logging
import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from captioner.config import ConfigError
from captioner.data.captions import Captions, split_name
from captioner.data.readers.detect import READERS, detect_format, read_data
from captioner.data.splits import FEW, default_shares, read_split, with_dev
from captioner.encoders.table import default_backbone
from captioner.images.listing import list_images
from captioner.storage import DataError, write_text

logger = logging.getLogger(__name__)

ENDINGS = (".txt", ".token", ".csv", ".tsv", ".json", ".jsonl", ".tar", ".tgz", ".gz", ".h5")
MOST_FILES = 200  # of a folder that are looked at
MANY = 1000  # pictures
FEWEST = 8  # pictures with captions, below which nothing can be learned and measured
LISTS = re.compile(r"(train|dev|val|valid|validation|test)", re.IGNORECASE)


@dataclass(frozen=True)
class FoundFolder:
    """What lies in a folder.

    Attributes:
        images: the folder of pictures.
        captions: the file of captions, or the folder itself where texts lie beside the pictures.
        data: its content.
        ids: the pictures that have captions.
        pictures: how many pictures there are.
        lists: split -> a file that lists its pictures.
    """

    images: Path
    captions: Path
    data: Captions
    ids: frozenset[str]
    pictures: int
    lists: Mapping[str, Path]


def init(folder: Path, captions: Path | None, output: Path, overwrite: bool = False) -> FoundFolder:
    """Write a recipe for the pictures in `folder`.

    Args:
        folder: of the pictures; its subfolders belong to it.
        captions: the caption file; None looks for one in the folder and beside it.
        output: the recipe.
        overwrite: replace a recipe that is there.

    Raises:
        ConfigError: there is a recipe already.
        DataError: there are no pictures, no captions, or the captions are of other pictures.
    """
    if output.exists() and not overwrite:
        raise ConfigError(f"{output}: is there already; --overwrite replaces it, -o names another file")
    found = look_at(folder, captions)
    write_text(output, recipe_text(found, output.parent))
    without = found.pictures - len(found.ids)
    count = sum(len(found.data.references[image_id]) for image_id in found.ids)
    logger.info(
        f"{found.images}: {found.pictures:,} pictures; "
        f"{found.captions}: {count:,} captions of {len(found.ids):,} of them"
    )
    if without:
        logger.warning(f"{without:,} pictures have no captions; they are left out of training")
    if len(found.ids) < FEW:
        logger.warning(
            f"{len(found.ids)} pictures with captions are few: captions will be simple and often wrong; more help"
        )
    logger.info(f"{output} is written; captioner run trains and evaluates, and the comments say what can be changed")
    return found


def look_at(folder: Path, captions: Path | None = None) -> FoundFolder:
    """Return what lies in a folder of pictures; see `init`."""
    pictures = list_images(folder)
    if captions is not None:
        data = read_data(captions)
        ids = frozenset(pictures.keys() & data.references.keys())
        if not ids:
            asked, known = next(iter(data.references), "none"), next(iter(pictures))
            raise DataError(
                f"{captions}: none of its {len(data.references):,} pictures is in {folder} (it speaks of {asked!r}, "
                f"the folder has {known!r}); name the folder that its pictures are in"
            )
    else:
        captions, data, ids = _best_captions(folder, pictures)
    if len(ids) < FEWEST:
        raise DataError(f"{captions}: has captions of {len(ids)} pictures in {folder}; {FEWEST} are needed at least")
    return FoundFolder(
        folder, captions, data, ids, len(pictures), {} if data.splits else _lists(folder, captions, pictures)
    )


def _best_captions(folder: Path, pictures: Mapping[str, Path]) -> tuple[Path, Captions, frozenset[str]]:
    """Return the captions of most pictures among the files in and beside the folder, and the texts beside pictures."""
    best: tuple[Path, Captions, frozenset[str]] | None = None
    for path in (*_candidates(folder), *_candidates(folder.parent), folder):
        if path in pictures.values() or path.with_suffix("") in pictures.values():
            continue
        try:
            if detect_format(path) == "coco-images":
                continue
            data = read_data(path)
        except (DataError, ConfigError):
            continue
        ids = frozenset(pictures.keys() & data.references.keys())
        if ids and (best is None or len(ids) > len(best[2])):
            best = path, data, ids
    if best is None:
        raise DataError(
            f"{folder}: no captions of its pictures are found in it or beside it; name their file: "
            f"captioner init {folder} CAPTIONS (forms: {', '.join(READERS)})"
        )
    return best


def _candidates(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in ENDINGS)
    # a folder with a text beside each picture has as many texts as pictures; they are read together
    alone = [path for path in files if not any(path.with_suffix(end).exists() for end in (".jpg", ".jpeg", ".png"))]
    return alone[:MOST_FILES]


def _lists(folder: Path, captions: Path, pictures: Mapping[str, Path]) -> dict[str, Path]:
    """Return the lists of a train, dev and test split that lie in the folder or beside the captions."""
    found: dict[str, Path] = {}
    for path in dict.fromkeys((*_candidates(folder), *_candidates(folder.parent), *_candidates(captions.parent))):
        name = LISTS.search(path.stem)
        if name is None or path.suffix != ".txt" or path == captions:
            continue
        try:
            ids = read_split(path)
        except DataError:
            continue
        if pictures.keys() & set(ids):
            found.setdefault(split_name(name[1]), path)
    return found if {"train", "dev"} <= found.keys() else {}


def recipe_text(found: FoundFolder, base: Path) -> str:
    """Return the recipe, with comments, as YAML.

    Args:
        found: what it is for.
        base: the folder that it will lie in: its paths start there.
    """
    count = len(found.ids)
    lines = [
        f"# A recipe for {count:,} pictures with captions. `captioner run` in this folder trains and tests a model,",
        "# and `captioner predict PICTURE` then captions pictures. `captioner settings` lists all that can be set.",
        "data:",
        f"  images: {_yaml(_relative(found.images, base))}",
        f"  captions: {_yaml(_relative(found.captions, base))}",
        *_split_lines(found, base),
        "encoder:  # the network that turns a picture into numbers; `captioner encoders` lists others",
        f"  backbone: {default_backbone()}",
        "  layer: pool  # one vector a picture; `grid` for attention and transformer",
        "text:",
        f"  rules: {_rules(found)}  # ptb for English; lower for other languages",
        f"  min_count: {_min_count(count)}  # words that are rarer are not learned",
        "model:",
        "  architecture: merge  # with many pictures, attention or transformer describe better and take longer",
        f"  units: {512 if count >= MANY else 256}",
        "  normalize: true",
        "train:",
        f"  epochs: {16 if count >= MANY else 20}",
        "  batch_size: 32",
        "  learning_rate: 1e-3",
        "  schedule: cosine",
        "  warmup: 0.05",
        "  label_smoothing: 0.1",
        "  ema: 0.99",
        "generation:",
        "  beam_size: 5  # 1 is faster, and worse",
        "  max_length: 20",
        "  normalization: wu",
        "  length_penalty: 0.8",
        "evaluation:",
        f"  split: {_evaluated(found)}",
    ]
    return "\n".join(lines) + "\n"


def _split_lines(found: FoundFolder, base: Path) -> Iterator[str]:
    if found.data.splits:
        lent = "; a part of train is dev" if with_dev(found.data.splits).keys() - found.data.splits.keys() else ""
        yield f"  # the captions say which pictures are for {', '.join(found.data.splits)}{lent}"
        return
    yield "  splits:"
    if found.lists:
        for name, path in found.lists.items():
            yield f"    {name}: {_yaml(_relative(path, base))}"
        return
    shares = default_shares(len(found.ids))
    yield "    # shares of the pictures; pictures that look alike stay together"
    for name, share in shares.items():
        yield f"    {name}: {share}"


def _evaluated(found: FoundFolder) -> str:
    names: Sequence[str] = tuple(found.data.splits or found.lists or default_shares(len(found.ids)))
    return "test" if "test" in names else "dev"


def _rules(found: FoundFolder) -> str:
    """Return `lower` where a twentieth of the letters are none of English."""
    letters = [letter for image_id in sorted(found.ids)[:200] for letter in "".join(found.data.references[image_id])]
    letters = [letter for letter in letters if letter.isalpha()]
    foreign = sum(not letter.isascii() for letter in letters)
    return "lower" if foreign > 0.05 * max(1, len(letters)) else "ptb"


def _min_count(count: int) -> int:
    return 5 if count >= MANY else 3 if count >= FEW else 2


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def _yaml(text: str) -> str:
    return textwrap.dedent(yaml.safe_dump(text, allow_unicode=True, width=10_000)).removesuffix("...\n").strip()
