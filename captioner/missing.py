"""What to do about a file that is not there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

# The folders under data/ into which `captioner download` puts data sets.
DOWNLOADABLE = ("flickr8k", "coco2014", "coco2017", "karpathy")


def way_out(path: str | Path, otherwise: str = "check the path") -> str:
    """Return how a missing file or folder can be had: by a download, if it is part of a data set that has one."""
    parts = Path(path).parts
    name = next((part for before, part in pairwise(parts) if before == "data"), "")
    return f"`captioner download {name}` gets it" if name in DOWNLOADABLE else otherwise
