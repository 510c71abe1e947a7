"""Write a recipe for a user's own pictures: look into a folder and write captioner.yaml with comments."""

from __future__ import annotations

import logging
import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from captioner.config import ConfigError, load_yaml
from captioner.data.captions import Captions, split_name
from captioner.data.readers.detect import READERS, detect_format, read_data
from captioner.data.splits import FEW, default_shares, read_split, with_dev
from captioner.encoders.table import default_backbone
from captioner.images.listing import list_images
from captioner.storage import DataError, write_text

logger = logging.getLogger(__name__)

ENDINGS = (".txt", ".token", ".csv", ".tsv", ".json", ".jsonl", ".tar", ".tgz", ".gz", ".h5")
MOST_FILES = 200  # maximum number of files to look at in a folder
MANY = 1000  # pictures
FEWEST = 8  # captioned pictures; with fewer, nothing can be learned and measured
LISTS = re.compile(r"(train|dev|val|valid|validation|test)", re.IGNORECASE)


@dataclass(frozen=True)
class FoundFolder:
    """The content of a folder.

    Attributes:
        images: the folder of pictures.
        captions: the file of captions, or the folder itself if text files are beside the pictures.
        data: the content of the captions.
        ids: the pictures that have captions.
        pictures: number of pictures.
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
        folder: folder of the pictures, including its subfolders.
        captions: the caption file; None looks for one in the folder and beside it.
        output: path of the recipe.
        overwrite: replace an existing recipe.

    Raises:
        ConfigError: the recipe exists already.
        DataError: there are no pictures, no captions, or the captions are for other pictures.
    """
    if output.exists():
        if not overwrite:
            raise ConfigError(f"{output}: already exists; give --overwrite to replace it, or another file with -o")
        _require_recipe(output)
    found = look_at(folder, captions)
    write_text(output, recipe_text(found, output.parent))
    without = found.pictures - len(found.ids)
    count = sum(len(found.data.references[image_id]) for image_id in found.ids)
    logger.info(
        f"{found.images}: {found.pictures:,} pictures; "
        f"{found.captions}: {count:,} captions for {len(found.ids):,} of them"
    )
    if without:
        logger.warning(f"{without:,} pictures have no captions; they are left out of training")
    if len(found.ids) < FEW:
        logger.warning(
            f"only {len(found.ids)} pictures have captions: the trained model's captions will be simple and often "
            "wrong; add more captioned pictures"
        )
    logger.info(f"wrote {output}; its comments explain the settings; captioner run trains and evaluates")
    return found


def _require_recipe(path: Path) -> None:
    """Refuse to replace another file than a recipe. Raises ConfigError."""
    try:
        is_recipe = "data" in load_yaml(path)
    except (ConfigError, DataError):
        is_recipe = False
    if not is_recipe:
        raise ConfigError(f"{path}: is not a recipe and is not replaced; name another file with -o")


def look_at(folder: Path, captions: Path | None = None) -> FoundFolder:
    """Return the content of a folder of pictures; see `init`."""
    pictures = list_images(folder)
    if captions is not None:
        data = read_data(captions)
        ids = frozenset(pictures.keys() & data.references.keys())
        if not ids:
            asked, known = next(iter(data.references), "none"), next(iter(pictures))
            raise DataError(
                f"{captions}: none of its {len(data.references):,} pictures is in {folder} (it lists {asked!r}, "
                f"the folder has {known!r}); name the folder that contains its pictures"
            )
    else:
        captions, data, ids = _best_captions(folder, pictures)
    if len(ids) < FEWEST:
        raise DataError(f"{captions}: has captions for {len(ids)} pictures in {folder}; at least {FEWEST} are needed")
    return FoundFolder(
        folder, captions, data, ids, len(pictures), {} if data.splits else _lists(folder, captions, pictures)
    )


def _best_captions(folder: Path, pictures: Mapping[str, Path]) -> tuple[Path, Captions, frozenset[str]]:
    """Return the captions that cover most pictures: a file in or beside the folder, or text files beside pictures."""
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
            f"{folder}: found no captions for its pictures in it or beside it; name the caption file: "
            f"captioner init {folder} CAPTIONS (formats: {', '.join(READERS)})"
        )
    return best


def _candidates(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in ENDINGS)
    # Text files beside pictures are read together, as the captions of the folder.
    alone = [path for path in files if not any(path.with_suffix(end).exists() for end in (".jpg", ".jpeg", ".png"))]
    return alone[:MOST_FILES]


def _lists(folder: Path, captions: Path, pictures: Mapping[str, Path]) -> dict[str, Path]:
    """Return the lists of the train, dev and test splits found in the folder, beside it or beside the captions."""
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
        found: the pictures and captions.
        base: the folder of the recipe; its paths are relative to it.
    """
    count = len(found.ids)
    lines = [
        f"# A recipe for {count:,} pictures with captions. `captioner run` in this folder trains and tests a model,",
        "# and `captioner predict PICTURE` then captions pictures. `captioner settings` lists all settings.",
        "data:",
        f"  images: {_yaml(_relative(found.images, base))}",
        f"  captions: {_yaml(_relative(found.captions, base))}",
        *_split_lines(found, base),
        "encoder:  # the network that encodes a picture; `captioner encoders` lists others",
        f"  backbone: {default_backbone()}",
        "  layer: pool  # one vector per picture; use `grid` for attention and transformer",
        "text:",
        f"  rules: {_rules(found)}  # ptb for English; lower for other languages",
        f"  min_count: {_min_count(count)}  # rarer words are not learned",
        "model:",
        "  architecture: merge  # with many pictures, attention or transformer caption better but take longer",
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
        "  beam_size: 5  # 1 is faster but worse",
        "  max_length: 20",
        "  normalization: wu",
        "  length_penalty: 0.8",
        "evaluation:",
        f"  split: {_evaluated(found)}",
    ]
    return "\n".join(lines) + "\n"


def _split_lines(found: FoundFolder, base: Path) -> Iterator[str]:
    if found.data.splits:
        lent = "; part of train is used as dev" if with_dev(found.data.splits).keys() - found.data.splits.keys() else ""
        yield f"  # the caption file defines the splits {', '.join(found.data.splits)}{lent}"
        return
    yield "  splits:"
    if found.lists:
        for name, path in found.lists.items():
            yield f"    {name}: {_yaml(_relative(path, base))}"
        return
    shares = default_shares(len(found.ids))
    yield "    # shares of the pictures; similar pictures go into the same split"
    for name, share in shares.items():
        yield f"    {name}: {share}"


def _evaluated(found: FoundFolder) -> str:
    names: Sequence[str] = tuple(found.data.splits or found.lists or default_shares(len(found.ids)))
    return "test" if "test" in names else "dev"


def _rules(found: FoundFolder) -> str:
    """Return `lower` if more than a twentieth of the letters are not English letters."""
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
