"""KerasHub and its presets: the messages where one is missing. Importing this imports neither."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from captioner.config import ConfigError
from captioner.storage import DataError

HUB = "hub:"  # before a preset's name or folder, where other things could be meant


def import_keras_hub(preset: str) -> Any:
    """Return the module. Raises DataError, naming the preset that is asked for, where it is not installed."""
    try:
        import keras_hub
    except ImportError:
        raise DataError(f"{HUB}{preset}: KerasHub is not installed; `pip install 'captioner[hub]'`") from None
    return keras_hub


@contextlib.contextmanager
def explained(preset: str, known: Sequence[str]) -> Iterator[None]:
    """Say in one line why a preset cannot be had.

    Args:
        preset: its name, handle or folder.
        known: the names of presets that are of use here.

    Raises:
        ConfigError: there is no preset of this name.
        DataError: it cannot be had.
    """
    try:
        yield
    except Exception as error:  # a preset comes by way of Kaggle's, Hugging Face's and Keras' own loaders
        reason = " ".join(str(error).split())[:200]
        if re.fullmatch(r"[\w.-]+", preset) and not Path(preset).exists() and preset not in known:
            near = ", ".join(get_close_matches(preset, known, n=3, cutoff=0.4) or known[:3])
            raise ConfigError(f"{HUB}{preset}: KerasHub has no such preset; near it: {near}") from None
        raise DataError(
            f"{HUB}{preset}: cannot be had ({reason}); presets are downloaded once and then kept, or name a preset's "
            f"folder: {HUB}FOLDER"
        ) from error
