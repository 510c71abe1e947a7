"""The words that a model is trained on: cleaned from the raw captions, or read from a descriptions file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.data.captions import Captions
from captioner.data.flickr import read_descriptions
from captioner.data.readers import DataConfig
from captioner.storage import DataError, digest_file, read_manifest
from captioner.text.cleaning import clean_caption


def training_text(
    config: DataConfig, captions: Captions, splits: Sequence[str], rules: str
) -> dict[str, list[list[str]]]:
    """Return image_id -> its cleaned captions, as lists of words; captions left empty are dropped.

    Args:
        config: `config.descriptions` names a file of `captioner clean`; without one the raw captions are cleaned.
        captions: the raw captions and the splits.
        splits: those whose text is wanted.
        rules: the cleaning rules.

    Raises:
        DataError: the descriptions are missing, were made by other rules, or lack a whole split.
    """
    source = captions.references
    if config.descriptions is not None:
        path = Path(config.descriptions)
        if not path.is_file():
            raise DataError(
                f"{path}: no such file; captioner clean {config.captions} -o {path} --rules {rules} makes it"
            )
        manifest = read_manifest(path)
        if manifest is not None and manifest.get("rules") != rules:
            raise DataError(f"{path}: cleaned by the rules {manifest.get('rules')}, the recipe's text.rules is {rules}")
        if manifest is not None and manifest.get("source_digest") != (now := digest_file(config.captions)):
            then = str(manifest.get("source_digest"))
            raise DataError(
                f"{path}: cleaned from captions of digest {then[:12]}, {config.captions} has {now[:12]}; "
                f"captioner clean {config.captions} -o {path} --rules {rules} makes it anew"
            )
        source = read_descriptions(path)
    text = {}
    for name in splits:
        ids = captions.split(name)
        cleaned = {i: [words for raw in source.get(i, ()) if (words := clean_caption(raw, rules))] for i in ids}
        cleaned = {image_id: picture for image_id, picture in cleaned.items() if picture}
        if not cleaned:
            raise DataError(f"{config.descriptions or config.captions}: no captions for split {name}; check its list")
        text.update(cleaned)
    return text
