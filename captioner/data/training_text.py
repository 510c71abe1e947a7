"""The words that a model is trained on: cleaned from the raw captions, or read from a descriptions file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.data.captions import Captions
from captioner.data.dataset import Dataset
from captioner.data.readers.detect import spell
from captioner.data.readers.flickr import read_descriptions
from captioner.storage import DataError, read_manifest
from captioner.text.cleaning import clean_captions


def training_text(data: Dataset, captions: Captions, splits: Sequence[str], rules: str) -> dict[str, list[list[str]]]:
    """Return image_id -> its cleaned captions, as lists of words; captions left empty are dropped.

    Args:
        data: its `config.descriptions` names a file written by `captioner clean`; if it is None, the raw captions are
            cleaned.
        captions: the raw captions and the splits.
        splits: the splits whose text is returned.
        rules: the cleaning rules.

    Raises:
        DataError: the descriptions are missing, were made by other rules, or lack a whole split.
    """
    config, source = data.config, captions.references
    if config.descriptions is not None:
        path = Path(config.descriptions)
        if not path.is_file():
            raise DataError(
                f"{path}: no such file; to make it, run captioner clean {spell(config.captions)} -o {path} "
                f"--rules {rules}"
            )
        manifest = read_manifest(path)
        if manifest is not None and manifest.get("rules") != rules:
            raise DataError(
                f"{path}: cleaned with the rules {manifest.get('rules')}, but the recipe's text.rules is {rules}"
            )
        if manifest is not None and manifest.get("source_digest") != (now := data.digest):
            then = str(manifest.get("source_digest"))
            raise DataError(
                f"{path}: cleaned from captions with digest {then[:12]}, but {spell(config.captions)} has {now[:12]}; "
                f"run captioner clean {spell(config.captions)} -o {path} --rules {rules} again"
            )
        source = read_descriptions(path).references
    text = {}
    for name in splits:
        cleaned = clean_captions({image_id: source.get(image_id, ()) for image_id in captions.split(name)}, rules)
        if not cleaned:
            raise DataError(
                f"{config.descriptions or spell(config.captions)}: no captions for split {name}; check its list"
            )
        text.update(cleaned)
    return text
