"""Check an untrusted `.keras` file before Keras builds it: its layers must match the size of its weights.

Keras' safe mode refuses code, but builds any number of layers of any width. This module limits them in proportion to
the weights in the file.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.hdf5 import require_sound
from captioner.storage import DataError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_FILES = 1000
FREE_BYTES, BYTES_A_BYTE = 2**20, 50  # unpacked bytes of a member: for any member, and more for each packed byte
FREE_OBJECTS, BYTES_AN_OBJECT = 1500, 500  # layers, initializers and others, and bytes of weights for each further one
FREE_NUMBERS, NUMBERS_A_BYTE = 10 * 10**6, 4  # numbers in weights: for any file, and more for each byte of weights
FREE_LAYERS, BYTES_A_LAYER = 10, 500  # layers of any decoder, and packed bytes of weights for each further layer
MAX_LAYERS = 100
MAX_SEQUENTIAL = 10  # layers; Keras rebuilds all of them for each added layer
_WITHOUT_WEIGHTS = (
    "__keras_tensor__",
    "InputLayer",
    "ZeroPadding2D",
    "Resizing",
    "Reshape",
    "SeedGenerator",
    "Captioner",
)
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError,
)  # fmt: skip


def require_captioner(path: Path) -> None:
    """Refuse a `.keras` file that is broken, contains no captioner, or claims far more than its size allows.

    Raises:
        DataError: with the name of the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            weights = _require_sizes(path, archive)
            config = json.loads(archive.read(CONFIG))
        name = config["class_name"]
        if config.get("registered_name") != "captioner>Captioner":
            raise DataError(f"{path}: contains a {name!s:.100}, not a captioner; captioner train makes one")
        _require_proportion(path, config, weights.compress_size)
        require_sound(path, WEIGHTS, weights.file_size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _BROKEN as error:
        deep = isinstance(error, RecursionError)
        reason = "nested too deep" if deep else " ".join(str(error).split())[:100] or type(error).__name__
        raise DataError(f"{path}: cannot be loaded as a captioner ({reason}); train it again") from error


def _require_sizes(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the entry of the weights."""
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise DataError(f"{path}: contains {len(entries):,} files, far more than a captioner; it may be hostile")
    for entry in entries:
        if entry.file_size > FREE_BYTES + BYTES_A_BYTE * entry.compress_size:
            raise DataError(
                f"{path}: its member {entry.filename[:100]!r} unpacks from {entry.compress_size:,} to "
                f"{entry.file_size:,} bytes; it may be hostile"
            )
    return archive.getinfo(WEIGHTS)


def _require_proportion(path: Path, config: Mapping[str, Any], packed: int) -> None:
    """Refuse more or wider layers than fit the number of packed bytes of weights."""
    numbers = before = 0
    for count, (kind, settings) in enumerate(_objects(config)):
        if count > FREE_OBJECTS + packed // BYTES_AN_OBJECT:
            raise DataError(f"{path}: has far more layers than weights; it may be hostile")
        if kind == "Sequential" and len(settings["layers"]) > MAX_SEQUENTIAL:
            raise DataError(f"{path}: has a Sequential of {len(settings['layers']):,} layers; it may be hostile")
        if "vocabulary_size" in settings:
            layers, size = (_size_of_prefix if "network" in settings else _size_of_decoder)(settings)
            if layers > min(MAX_LAYERS, FREE_LAYERS + packed // BYTES_A_LAYER):
                raise DataError(f"{path}: has a decoder of {layers:,} layers, too many for its weights")
            numbers += size
        elif kind not in _WITHOUT_WEIGHTS and (sizes := sorted(_sizes(settings), reverse=True)):
            numbers += sizes[0] * max([before, *sizes[1:2]])
            before = sizes[0]
        if numbers > FREE_NUMBERS + NUMBERS_A_BYTE * packed:
            raise DataError(f"{path}: has layers that are far larger than its weights; it may be hostile")


def _objects(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the class name and settings of every object that Keras would build."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if "class_name" in found:
                settings = found.get("config")
                yield str(found["class_name"]), settings if isinstance(settings, dict) else {}
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _size_of_decoder(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return a decoder's number of layers, and the approximate number of its weights."""
    settings = {**config["config"], "channels": config["feature_shape"][-1], "words": config["vocabulary_size"]}
    layers = 1 + sum(settings.get(key, 0) for key in ("layers", "encoder_layers", "refining_layers"))
    width = max(size for key, size in settings.items() if key.endswith(("units", "embedding_size")))
    pictures = math.prod(config["feature_shape"])  # Keras runs the network once to create the weights
    return layers - 1, pictures + width * (settings["words"] + settings["channels"] + 16 * width * layers)


def _size_of_prefix(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return the layers of a language model with its mapping network, and the approximate number of weights."""
    network, settings, channels = config["network"], config["config"], config["feature_shape"][-1]
    width, deep = network["hidden_dim"], settings["mapping_layers"] if settings["mapping"] == "transformer" else 0
    layers = network["num_layers"] + deep
    prefix = settings["prefix_length"] * width
    mapping = channels * prefix + 8 * deep * width**2 if deep else prefix // 2 * (channels + prefix)
    words = width * (network["vocabulary_size"] + network["max_sequence_length"])
    blocks = network["num_layers"] * width * (4 * width + 2 * network["intermediate_dim"])
    return layers, mapping + words + blocks


def _sizes(settings: Mapping[str, Any]) -> Iterator[int]:
    """Yield the whole numbers among a layer's settings: its widths, and the sides of its kernels."""
    for key, value in settings.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and not isinstance(number, bool) and number > 0 and key != "seed":
                yield number
