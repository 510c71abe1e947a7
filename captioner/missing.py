"""Hints for missing files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

# The folders under data/ that `captioner download` creates.
DOWNLOADABLE = ("flickr8k", "coco2014", "coco2017", "karpathy")


def way_out(path: str | Path, otherwise: str = "check the path") -> str:
    """Return how to get a missing file or folder: by a download, if it is part of a downloadable data set."""
    parts = Path(path).parts
    name = next((part for before, part in pairwise(parts) if before == "data"), "")
    return f"`captioner download {name}` gets it" if name in DOWNLOADABLE else otherwise
