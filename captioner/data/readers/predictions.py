"""Reads captions of other programs or of `captioner predict`, in the same formats as references."""

from __future__ import annotations

from pathlib import Path

from captioner.data.captions import Captions
from captioner.data.readers.detect import read_data
from captioner.storage import DataError


def read_predictions(path: str | Path) -> dict[str, str]:
    """Read one caption per picture, in any format of captioner.data.readers.detect.READERS; it may be blank.

    If the file ranks several captions, as `captioner predict -n 5` and `captioner evaluate -n 5` do, the best is read.

    Raises:
        DataError: the file cannot be read, is empty or malformed, or has two captions of a picture.
    """
    captions = _read(path)
    for image_id, several in captions.references.items():
        if len(several) > 1 and not captions.ranked:
            raise DataError(
                f"{path}: {image_id} has {len(several)} captions; keep one per picture "
                "(n-best lists need --metrics oracle, plain captions --parallel)"
            )
    return {image_id: several[0] for image_id, several in captions.references.items()}


def read_lists(path: str | Path) -> dict[str, list[str]]:
    """Read n-best lists, like `read_predictions`, but a picture may have several captions, the best one first.

    Raises:
        DataError: the file cannot be read, is empty or malformed.
    """
    return {image_id: list(several) for image_id, several in _read(path).references.items()}


def _read(path: str | Path) -> Captions:
    captions = read_data(path, predictions=True)
    if not captions.references:
        raise DataError(f"{path}: lists pictures without captions; name a file of predictions")
    return captions
