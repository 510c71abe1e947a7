"""Captions made elsewhere: COCO's results form, or `image_id caption` a line."""

from __future__ import annotations

from pathlib import Path

from captioner.storage import DataError, read_json, read_text
from captioner.vision.images import normalize_id


def read_predictions(path: str | Path) -> dict[str, str]:
    """Read one caption a picture.

    Args:
        path: COCO's results form, a JSON list of {"image_id": ..., "caption": ...}, or lines `image_id caption`.

    Raises:
        DataError: the file cannot be read, is empty or malformed, or captions a picture twice.
    """
    text = read_text(path).strip()
    if not text:
        raise DataError(f"{path}: empty; expected COCO's results form or lines of image_id and caption")
    rows = _from_json(path) if text[0] in "[{" else _from_lines(path, text)
    predictions: dict[str, str] = {}
    for place, name, caption in rows:
        image_id = normalize_id(name)
        if image_id in predictions:
            raise DataError(f"{path}: {place}: {image_id} has a caption already; keep one a picture")
        predictions[image_id] = caption
    return predictions


def _from_json(path: str | Path) -> list[tuple[str, str, str]]:
    content = read_json(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of image_id and caption (COCO's results form)")
    rows = []
    for index, entry in enumerate(content, start=1):
        if not isinstance(entry, dict) or not {"image_id", "caption"} <= entry.keys():
            raise DataError(f"{path}: entry {index} has no image_id and caption")
        name, caption = entry["image_id"], entry["caption"]
        if not isinstance(caption, str) or not isinstance(name, str | int) or isinstance(name, bool):
            raise DataError(f"{path}: entry {index}: the caption must be text and the image_id text or a whole number")
        rows.append((f"entry {index}", str(name), caption))
    return rows


def _from_lines(path: str | Path, text: str) -> list[tuple[str, str, str]]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, caption = line.strip().partition("\t" if "\t" in line else " ")
        if name:
            rows.append((f"line {number}", name, caption.strip()))
    return rows
