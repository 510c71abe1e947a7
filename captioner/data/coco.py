"""Reader of captions in COCO's JSON form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from captioner.storage import DataError, read_json
from captioner.vision.images import normalize_id


def read_coco(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read COCO's `{"images": [...], "annotations": [{"image_id", "caption"}, ...]}`, or a bare list of annotations.

    A picture's id comes from its file name where `images` gives it (for COCO's own names that is the number), else it
    is the annotation's `image_id`. Blank captions are passed over.

    Returns:
        image_id -> captions, both in the order of the annotations.

    Raises:
        DataError: the file cannot be read, has another form (the annotation is named), or holds no captions.
    """
    content = read_json(path)
    annotations = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(annotations, list):
        raise DataError(f"{path}: has no list of annotations; COCO's captions_*.json is expected")
    names = _file_names(path, content.get("images", [])) if isinstance(content, dict) else {}
    references: dict[str, list[str]] = {}
    for index, annotation in enumerate(annotations):
        image_id: Any = annotation.get("image_id") if isinstance(annotation, dict) else None
        if type(image_id) not in (int, str) or not isinstance(annotation.get("caption"), str):
            raise DataError(f"{path}: annotation {index} lacks an image_id or a caption; captions_*.json is expected")
        if caption := annotation["caption"].strip():
            references.setdefault(names.get(image_id) or normalize_id(str(image_id)), []).append(caption)
    if not references:
        raise DataError(f"{path}: holds no captions; name a caption file")
    return {image_id: tuple(captions) for image_id, captions in references.items()}


def _file_names(path: str | Path, images: Any) -> dict[int | str, str]:
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f"{path}: `images` is no list of pictures; COCO's captions_*.json is expected")
    return {
        image["id"]: normalize_id(image["file_name"])
        for image in images
        if type(image.get("id")) in (int, str) and isinstance(image.get("file_name"), str)
    }
