"""What an image_id is: one spelling for every way in which data sets name a picture."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import quote

EXTENSIONS = ("jpg", "jpeg", "png", "gif", "bmp", "webp", "tif", "tiff", "avif", "heic", "heif")

_FLICKR_INDEX = re.compile(r"#\d+\Z")
_EXTENSION = re.compile(rf"(?<=[^/])(?:\.(?:{'|'.join(EXTENSIONS)}))+\Z", re.IGNORECASE)
_COCO = re.compile(r"(?:(?:.*/)?(?:train|val|test|unlabeled)20\d\d/)?(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})")
_UNSAFE = re.compile("[\\s#\udc80-\udcff]")  # the last: bytes of a file name that are not UTF-8


def normalize_id(text: str) -> str:
    """Return the image_id that `text` means: an id, a file name, or Flickr's `name.jpg#0`.

    Picture extensions go, white space and `#` are percent-encoded, a COCO name becomes its number
    (`COCO_train2014_000000493652.jpg` and `train2017/000000493652.jpg` are `493652`). An id stays what it is.
    """
    text = _FLICKR_INDEX.sub("", unicodedata.normalize("NFC", text))
    text = _EXTENSION.sub("", text)
    if coco := _COCO.fullmatch(text):
        return str(int(coco[1]))
    return _UNSAFE.sub(lambda unsafe: quote(unsafe[0], safe="", errors="surrogateescape"), text)


def image_id(path: str | Path, folder: str | Path) -> str:
    """Return the image_id of the picture at `path`: its path relative to `folder`, normalised."""
    return normalize_id(Path(path).relative_to(folder).as_posix())
