"""Import KerasHub and explain errors of its presets. Importing this module imports neither KerasHub nor Keras."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from captioner.config import ConfigError
from captioner.storage import DataError

HUB = "hub:"  # prefix of a preset's name or folder, to distinguish it from other names


def import_keras_hub(preset: str) -> Any:
    """Return the keras_hub module. Raises DataError, which names the requested preset, if it is not installed."""
    try:
        import keras_hub
    except ImportError:
        raise DataError(f"{HUB}{preset}: KerasHub is not installed; `pip install 'captioner[hub]'`") from None
    return keras_hub


@contextlib.contextmanager
def explained(preset: str, known: Sequence[str]) -> Iterator[None]:
    """Turn errors of loading a preset into one-line messages.

    Args:
        preset: name, handle or folder of the preset.
        known: names of suitable presets.

    Raises:
        ConfigError: there is no preset of this name.
        DataError: the preset cannot be loaded.
    """
    try:
        yield
    except Exception as error:  # presets are loaded by Kaggle's, Hugging Face's and Keras' loaders
        reason = " ".join(str(error).split())[:200]
        if re.fullmatch(r"[\w.-]+", preset) and not Path(preset).exists() and preset not in known:
            near = ", ".join(get_close_matches(preset, known, n=3, cutoff=0.4) or known[:3])
            raise ConfigError(f"{HUB}{preset}: KerasHub has no such preset; near it: {near}") from None
        raise DataError(
            f"{HUB}{preset}: cannot be loaded ({reason}); check the connection, or name the folder of a downloaded "
            f"preset as {HUB}FOLDER"
        ) from error
