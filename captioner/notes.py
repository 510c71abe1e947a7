"""What was noticed in a file or a folder: logged once, however often it is read."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def note(path: str | Path, text: str) -> None:
    """Warn of something in the file or the folder at `path`."""
    _say_once(f"{path}: {text}")


@functools.lru_cache(maxsize=1024)
def _say_once(line: str) -> None:
    logger.warning(line)
