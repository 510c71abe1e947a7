"""Readers of COCO's JSON: captions, lists of pictures without captions, and Karpathy's splits of it and of Flickr's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from captioner.data.captions import Captions, collect, split_name
from captioner.images.ids import normalize_id
from captioner.storage import DataError, read_json

_PART = re.compile(r"(?:^|_)(train|val|test)(?:-dev)?(20\d\d)(?:_|-|$)")  # of a file's name


def read_coco(path: str | Path) -> Captions:
    """Read COCO's `{"images": [...], "annotations": [{"image_id", "caption"}, ...]}`.

    A picture's id comes from its file name where `images` gives it (for COCO's own names that is the number), else it
    is the annotation's `image_id`. Blank captions are passed over. The split is that of the file's name:
    captions_train2014.json is train, captions_val2017.json is dev.

    Raises:
        DataError: the file cannot be read, has another form (the annotation is named), or holds no captions.
    """
    content = read_json(path)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list):
        raise DataError(f"{path}: has no list of annotations; COCO's captions_*.json is expected")
    by_number: dict[int | str, list[str]] = {}
    for index, annotation in enumerate(annotations):
        try:
            number, caption = annotation["image_id"], annotation["caption"].strip()
        except (TypeError, KeyError, AttributeError):
            number, caption = None, ""
        if type(number) is not int and type(number) is not str:
            raise DataError(f"{path}: annotation {index} lacks an image_id or a caption; captions_*.json is expected")
        if caption:
            by_number.setdefault(number, []).append(caption)
    if not by_number:
        raise DataError(f"{path}: holds no captions; name a caption file")
    names = {number: normalize_id(name) for number, name in _file_names(path, content.get("images", []))}
    references: dict[str, tuple[str, ...]] = {}
    for number, captions in by_number.items():
        image_id = names.get(number) or normalize_id(str(number))
        references[image_id] = (*references.get(image_id, ()), *captions)
    return Captions(references, splits=_split(path, references))


def read_image_info(path: str | Path) -> Captions:
    """Read COCO's image_info_*.json: pictures without captions, for prediction.

    Returns:
        no references; the pictures' file names as the file gives them; and the split that its name says.

    Raises:
        DataError: the file cannot be read, or lists no picture.
    """
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    pictures = {normalize_id(name): Path(name) for _, name in _file_names(path, images)}
    if not pictures:
        raise DataError(f"{path}: lists no picture; COCO's image_info_*.json is expected")
    return Captions({}, pictures, _split(path, pictures))


def listed_pictures(path: str | Path) -> list[Path]:
    """Return the files of the pictures that an image_info_*.json or a captions_*.json lists.

    They are looked for beside the file, and in the folder test2014 (as the file's name says) beside it or beside its
    own folder, where COCO's archives put them.

    Raises:
        DataError: the file cannot be used, a picture lies outside, or the first is in none of these folders.
    """
    path = Path(path)
    pictures = read_image_info(path).pictures
    part = _PART.search(path.stem)
    inner = [part[1] + part[2]] if part else []
    folders = [path.parent, *(folder / name for folder in (path.parent, path.parent.parent) for name in inner)]
    for name in pictures.values():
        if name.is_absolute() or ".." in name.parts:
            raise DataError(
                f"{path}: lists {str(name)!r}, which lies outside of its folder; name such pictures yourself"
            )
    first = next(iter(pictures.values()))
    folder = next((folder for folder in folders if (folder / first).is_file()), None)
    if folder is None:
        looked = ", ".join(map(str, folders))
        raise DataError(f"{path}: lists {len(pictures):,} pictures, the first, {first}, is not in {looked}")
    return [folder / name for name in pictures.values()]


def _split(path: str | Path, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    part = _PART.search(Path(path).stem)
    return {split_name(part[1]): tuple(ids)} if part else {}


def _file_names(path: str | Path, images: Any) -> list[tuple[int | str, str]]:
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f"{path}: `images` is no list of pictures; COCO's JSON is expected")
    return [
        (image["id"], image["file_name"])
        for image in images
        if type(image.get("id")) in (int, str) and isinstance(image.get("file_name"), str)
    ]


def read_karpathy(path: str | Path) -> Captions:
    """Read Karpathy's dataset_coco.json, dataset_flickr8k.json or dataset_flickr30k.json with its splits.

    `restval` belongs to train, as in every paper that uses these splits.

    Raises:
        DataError: the file cannot be read, has another form (the image is named), or holds no captions.
    """
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise DataError(f"{path}: has no list of images; Karpathy's dataset_*.json is expected")
    return collect(path, _karpathy_rows(path, images))


def _karpathy_rows(path: str | Path, images: list[Any]) -> Iterator[tuple[str, list[str], str]]:
    for index, image in enumerate(images):
        try:
            folder = f"{image['filepath']}/" if image.get("filepath") else ""
            captions = [sentence["raw"].strip() for sentence in image["sentences"]]
            name, split = image["filename"].strip(), image["split"].strip()
        except (TypeError, KeyError, AttributeError):
            raise DataError(
                f"{path}: image {index} lacks a filename, a split or raw sentences; "
                "Karpathy's dataset_*.json is expected"
            ) from None
        if any(captions):
            yield folder + name, [caption for caption in captions if caption], split
