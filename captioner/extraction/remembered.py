"""A cache of the probe's choices for encoders on this machine, so that short runs need not measure again."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from captioner.encoders.config import IDENTITY
from captioner.extraction.loader import available_cores
from captioner.extraction.probe import Chosen
from captioner.storage import DataError, digest_json, read_json, write_json

FILE_NAME = "probe.json"
CACHE_FOLDER = "CAPTIONER_CACHE"  # the environment variable that names another folder than the usual one


def cache_folder() -> Path:
    """Return the cache folder: CAPTIONER_CACHE, or `captioner` in the user's cache folder."""
    if named := os.environ.get(CACHE_FOLDER):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "captioner"


def recall(description: Mapping[str, Any]) -> Chosen | None:
    """Return the earlier choice for the encoder on this machine, None if there is none."""
    found = _read().get(_key(description))
    try:
        return Chosen(found["precision"], int(found["batch_size"])) if found else None
    except (TypeError, KeyError, ValueError):
        return None


def remember(description: Mapping[str, Any], chosen: Chosen) -> None:
    """Store a choice, if the folder can be written."""
    with contextlib.suppress(DataError):
        write_json(cache_folder() / FILE_NAME, {**_read(), _key(description): chosen.to_json()})


def _read() -> dict[str, Any]:
    try:
        content = read_json(cache_folder() / FILE_NAME)
    except DataError:
        return {}
    return content if isinstance(content, dict) else {}


def _key(description: Mapping[str, Any]) -> str:
    """Return a key of everything that the choice depends on: encoder, processor or accelerator, and software."""
    identity = {key: description.get(key) for key in IDENTITY}
    machine = [_processor(), available_cores(), *keras.distribution.list_devices()]
    software = [keras.__version__, keras.backend.backend()]
    return digest_json(json.loads(json.dumps([identity, machine, software], default=str)))


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
