"""Checks whether an encoder may be downloaded from an address that a model names."""

from __future__ import annotations

import os

from captioner.storage import DataError

ALLOW_DOWNLOAD = "CAPTIONER_ALLOW_DOWNLOAD"


def require_allowed(backbone: str) -> None:
    """Refuse a backbone that is an internet address, such as `hub:hf://user/model`, unless downloads are allowed.

    Presets and weights with a published name come from their publishers; a file at an address can be anything.

    Raises:
        DataError: the backbone is an address, and downloads were not allowed.
    """
    if "://" in backbone and os.environ.get(ALLOW_DOWNLOAD, "") in ("", "0"):
        raise DataError(
            f"this captioner asks for the encoder {backbone!r}, which would be downloaded; if you trust it, "
            f"add --allow-download, or set {ALLOW_DOWNLOAD}=1"
        )
