"""Captions that other models generated for training pictures, as further references: sequence-level distillation.

Kim and Rush 2016, "Sequence-Level Knowledge Distillation" (section 3.2): a student learns from what its teacher's beam
search finds. Here it learns from the human references, too.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from captioner.data.readers.predictions import read_lists
from captioner.images.ids import align
from captioner.storage import DataError
from captioner.text.cleaning import clean_captions


def distilled_text(
    path: str | Path, pictures: Collection[str], known: Collection[str], rules: str
) -> dict[str, list[list[str]]]:
    """Return image_id -> the generated captions of a training picture, as lists of words.

    Captions of other pictures are left out: those of a dev or test picture must not be trained on.

    Args:
        path: the captions, one or several per picture, such as the predictions.json of `captioner evaluate -n 3` or the
            output of `captioner predict -n 3 --json`.
        pictures: the training pictures.
        known: all pictures of the data set. If none of the captions belongs to them, pictures with the same name in
            another folder are used.
        rules: the cleaning rules.

    Raises:
        DataError: the file cannot be read, or holds no caption of a training picture.
    """
    if not Path(path).exists():
        raise DataError(f"{path}: no such file; captioner evaluate RUN --split train -n 3 writes one")
    generated = read_lists(path)
    meant = align(generated.keys(), known)  # `captioner predict` names pictures with their folder
    named = {meant.get(image_id, image_id): texts for image_id, texts in generated.items()}
    text = clean_captions({image_id: texts for image_id, texts in named.items() if image_id in pictures}, rules)
    if not text:
        raise DataError(
            f"{path}: no caption of a training picture; captioner evaluate RUN --split train -n 3 writes them"
        )
    return text
