"""Warnings about files and folders, each logged once even if the file is read several times."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def note(path: str | Path, text: str) -> None:
    """Log a warning about the file or folder at `path`."""
    _say_once(f"{path}: {text}")


@functools.lru_cache(maxsize=1024)
def _say_once(line: str) -> None:
    logger.warning(line)
