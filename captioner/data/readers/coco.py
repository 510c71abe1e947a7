"""Readers of COCO's JSON: captions, lists of pictures without captions, and Karpathy's splits of COCO and Flickr."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from captioner.data.captions import Captions, split_name
from captioner.data.readers.collect import Row, collect
from captioner.data.readers.columns import NotTextError, read_texts
from captioner.images.ids import normalize_ids, spell_id
from captioner.notes import note
from captioner.storage import DataError, read_json

_PART = re.compile(r"(?:^|_)(train|val|test)(?:-dev)?(20\d\d)(?:_|-|$)")  # of a file's name


def read_coco(path: str | Path, predictions: bool = False) -> Captions:
    """Read COCO's `{"images": [...], "annotations": [{"image_id", "caption"}, ...]}`.

    A picture's id comes from its file name if `images` has one (for COCO's own names it is the number); otherwise it is
    the annotation's `image_id`. Ids are compared as text: 1, 1.0 and "1" are the same. Blank captions are skipped. The
    file's name gives the split: captions_train2014.json is train, captions_val2017.json is dev.

    Args:
        path: the file.
        predictions: whether a caption may be blank.

    Raises:
        DataError: the file cannot be read, has another format (the message names the annotation), or has no captions.
    """
    content = read_json(path)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list):
        raise DataError(f"{path}: has no list of annotations; COCO's captions_*.json is expected")
    names: dict[str, str] = {}
    for number, name in _file_names(path, content.get("images", [])):
        if names.setdefault(number, name) != name:
            raise DataError(f"{path}: two pictures have the id {number}: {names[number]} and {name}")
    captions = collect(path, _annotated(path, annotations, names, predictions))
    return replace(captions, splits=_split(path, captions.references))


def _annotated(path: str | Path, annotations: list[Any], names: dict[str, str], predictions: bool) -> Iterator[Row]:
    unlisted: dict[str, None] = {}
    held = False
    for index, annotation in enumerate(annotations):
        try:
            number, texts = _number(annotation["image_id"]), read_texts(annotation["caption"], "caption")
            filled = annotation["caption"] is not None
        except (TypeError, KeyError, NotTextError):
            number, filled = None, False
        if number is None or not filled:
            raise DataError(f"{path}: annotation {index} lacks an image_id or a caption; captions_*.json is expected")
        if number not in names:
            unlisted[number] = None
        captions = [text for text in texts.captions if text.strip() or predictions]
        if captions:
            held = True
            yield Row(names.get(number, number), captions, listed=texts.listed)
    if not held:
        raise DataError(f"{path}: contains no captions; name a caption file")
    if names and unlisted:
        note(
            path,
            f"{len(unlisted):,} of the image_ids with captions are not in its list of images (first: "
            f"{next(iter(unlisted))!r}); these pictures are named by their image_id",
        )


def read_image_info(path: str | Path) -> Captions:
    """Read COCO's image_info_*.json: pictures without captions, for prediction.

    Returns:
        captions without references, with the pictures' file names as in the file and the split of the file's name.

    Raises:
        DataError: the file cannot be read, or lists no pictures.
    """
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    files = [name for _, name in _file_names(path, images)]
    ids = normalize_ids(files)
    pictures = {ids[name]: Path(name.replace("\\", "/")) for name in files}
    if not pictures:
        raise DataError(f"{path}: lists no pictures; COCO's image_info_*.json is expected")
    return Captions({}, pictures, _split(path, pictures))


def listed_pictures(path: str | Path) -> list[Path]:
    """Return the files of the pictures that an image_info_*.json or a captions_*.json lists.

    They are searched for beside the file and in a folder such as test2014 (from the file's name), which is beside the
    file or beside the file's folder, as in COCO's archives.

    Raises:
        DataError: the file cannot be used, a picture is outside of its folder, or none of these folders has the first.
    """
    path = Path(path)
    pictures = read_image_info(path).pictures
    part = _PART.search(path.stem)
    inner = [part[1] + part[2]] if part else []
    folders = [path.parent, *(folder / name for folder in (path.parent, path.parent.parent) for name in inner)]
    for name in pictures.values():
        if name.is_absolute() or ".." in name.parts:
            raise DataError(
                f"{path}: lists {str(name)!r}, which is outside of its folder; name such pictures on the command line"
            )
    first = next(iter(pictures.values()))
    folder = next((folder for folder in folders if (folder / first).is_file()), None)
    if folder is None:
        looked = ", ".join(map(str, folders))
        raise DataError(f"{path}: lists {len(pictures):,} pictures, but the first ({first}) is not in {looked}")
    return [folder / name for name in pictures.values()]


def _split(path: str | Path, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    part = _PART.search(Path(path).stem)
    return {split_name(part[1]): tuple(ids)} if part else {}


def _number(value: Any) -> str | None:
    """Return COCO's id of a picture as text, without leading zeros."""
    text = spell_id(value)
    return str(int(text)) if text is not None and text.isascii() and text.isdigit() else text


def _file_names(path: str | Path, images: Any) -> list[tuple[str, str]]:
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f"{path}: `images` is not a list of pictures; COCO's JSON is expected")
    return [
        (number, image["file_name"])
        for image in images
        if isinstance(image.get("file_name"), str) and (number := _number(image.get("id"))) is not None
    ]


def read_karpathy(path: str | Path) -> Captions:
    """Read Karpathy's dataset_coco.json, dataset_flickr8k.json or dataset_flickr30k.json with its splits.

    `restval` becomes train, as in all papers that use these splits.

    Raises:
        DataError: the file cannot be read, has another format (the message names the image), or has no captions.
    """
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise DataError(f"{path}: has no list of images; Karpathy's dataset_*.json is expected")
    return collect(path, _karpathy_rows(path, images))


def _karpathy_rows(path: str | Path, images: list[Any]) -> Iterator[Row]:
    for index, image in enumerate(images):
        try:
            folder = f"{image['filepath']}/" if image.get("filepath") else ""
            captions = [text for sentence in image["sentences"] for text in read_texts(sentence).captions]
            name, split = image["filename"].strip(), image["split"].strip()
        except (TypeError, KeyError, AttributeError, NotTextError):
            raise DataError(
                f"{path}: image {index} lacks a filename, a split or raw sentences; "
                "Karpathy's dataset_*.json is expected"
            ) from None
        captions = [caption for caption in captions if caption.strip()]
        if captions:
            yield Row(folder + name, captions, split)
