"""Clean captions into descriptions.txt, one `image_id caption` per line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.config import ConfigError
from captioner.data.dataset import DataConfig, Dataset, as_setting, require_captions
from captioner.data.readers.detect import Sources, find_sources, spell
from captioner.data.readers.flickr import (
    read_descriptions as read_descriptions,
)  # so that reading and writing are in one module
from captioner.encoding import encode
from captioner.images.ids import one_of_each
from captioner.images.listing import list_images
from captioner.output_places import require_own
from captioner.storage import (
    DataError,
    atomic_path,
    digest_file,
    digest_json,
    read_manifest,
    remove_manifest,
    write_manifest,
)
from captioner.text.cleaning import clean_captions

logger = logging.getLogger(__name__)

SHOWN = 3  # names in a message


def write_descriptions(path: str | Path, descriptions: Mapping[str, Sequence[str]]) -> None:
    """Write image_id -> cleaned captions atomically, one `image_id caption` per line."""
    text = (f"{image_id} {caption}\n" for image_id, captions in descriptions.items() for caption in captions)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode("".join(text)))
        remove_manifest(path)  # only now: if the disk is full, the old file and its manifest remain


@dataclass(frozen=True)
class CleanResult:
    """The result of cleaning.

    Attributes:
        text: image_id -> its remaining cleaned captions, as lists of words.
        pictures: number of pictures with a remaining caption.
        captions: number of remaining captions.
        words: number of distinct words.
        longest: number of words in the longest caption.
        dropped: number of captions that the rules left empty.
        without_captions: image_ids in the folder of pictures without a remaining caption.
        without_picture: image_ids with captions whose picture is not in the folder.
    """

    text: Mapping[str, list[list[str]]] = field(repr=False)
    pictures: int
    captions: int
    words: int
    longest: int
    dropped: int
    without_captions: tuple[str, ...] = ()
    without_picture: tuple[str, ...] = ()


def clean(
    source: Sources,
    output: str | Path,
    rules: str,
    format: str = "auto",
    images: str | Path | None = None,
    data: Dataset | None = None,
) -> CleanResult:
    """Clean captions into `output`, one `image_id caption` per line, with a manifest beside it.

    Args:
        source: captions in any supported format: a file, a folder, a pattern, or several.
        output: path of descriptions.txt, which is written atomically.
        rules: a name in `captioner.text.cleaning.RULES`. Captions that they leave empty are dropped and counted.
        format: a name in `captioner.data.readers.detect.READERS`, or "auto".
        images: a folder of pictures to compare with; mismatches are logged and stay in the file.
        data: the data set of the source, if it has been read already.

    Raises:
        DataError: the source or the folder cannot be used, or the rules leave no caption.
        ConfigError: the rules or the format are not known.
    """
    files = [path for path in find_sources(source) if path.exists()]
    if Path(output).exists() and any(Path(output).samefile(path) for path in files):
        raise ConfigError(f"{output}: is the caption file itself, which scoring needs unchanged; name another output")
    require_own(output, "clean")
    data = data or Dataset(DataConfig(captions=as_setting(source), format=format))
    references = require_captions(data.whole, source)
    kept = clean_captions(references, rules)
    if not kept:
        raise DataError(f"{spell(source)}: the rules {rules!r} leave no caption; check the file's format")
    pictures = list_images(images) if images is not None else None
    every = [words for captions in kept.values() for words in captions]
    result = CleanResult(
        text=kept,
        pictures=len(kept),
        captions=len(every),
        words=len({word for words in every for word in words}),
        longest=max(map(len, every)),
        dropped=sum(map(len, references.values())) - len(every),
        without_captions=() if pictures is None else tuple(name for name in pictures if name not in kept),
        without_picture=() if pictures is None else tuple(name for name in kept if name not in pictures),
    )
    write_descriptions(output, {name: [" ".join(words) for words in captions] for name, captions in kept.items()})
    write_manifest(
        output,
        "clean",
        **made_of(rules, data, pictures),
        source=str(source) if isinstance(source, str | Path) else [str(path) for path in source],
        digest=digest_file(output),
        pictures=result.pictures,
        captions=result.captions,
        words=result.words,
        longest=result.longest,
        dropped=result.dropped,
    )
    _report(result, output, images)
    return result


def made_of(rules: str, data: Dataset, pictures: Iterable[str] | None) -> dict[str, Any]:
    """Return the manifest entries that the descriptions depend on; `is_cleaned` compares them."""
    names = None if pictures is None else digest_json(list(pictures))
    return {"rules": rules, "source_digest": data.digest, "image_ids_digest": names}


def is_cleaned(output: str | Path, rules: str, data: Dataset, images: str | Path | None = None) -> bool:
    """Return whether `output` is what `clean` would write from the current captions and pictures; log it if so.

    Raises:
        DataError: the captions cannot be read, or `images` is not a folder of pictures.
    """
    manifest = read_manifest(output) if Path(output).is_file() else None
    if manifest is None or manifest.get("digest") != digest_file(output):
        return False
    pictures = list_images(images) if images is not None else None
    if not made_of(rules, data, pictures).items() <= manifest.items():
        return False
    logger.info(f"{output}: up to date ({manifest['pictures']:,} pictures, {manifest['captions']:,} captions)")
    return True


def _report(result: CleanResult, output: str | Path, images: str | Path | None) -> None:
    logger.info(
        f"{output}: {result.pictures:,} pictures, {result.captions:,} captions, {result.words:,} distinct words, "
        f"the longest caption has {result.longest} words"
    )
    if result.dropped:
        logger.info(f"dropped: {_count(result.dropped, 'caption')} that the rules left empty")
    for names, fault in (
        (result.without_captions, f"in {images} without a caption"),
        (result.without_picture, f"with captions but not in {images}"),
    ):
        if names:
            logger.warning(f"{_count(len(names), 'picture')} {fault} ({shown(names)})")
    if len(result.without_picture) == result.pictures:
        logger.warning(
            f"{images} and the captions have {one_of_each(result.without_captions, result.without_picture)}; ids are "
            "paths relative to that folder; name the right folder"
        )


def shown(names: Sequence[str]) -> str:
    """Return the first of the names on one line."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
