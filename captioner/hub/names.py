"""Names of KerasHub models: `hub:` with a preset or its folder. Needs neither Keras nor KerasHub."""

from __future__ import annotations

import os
from pathlib import Path

from captioner.encoders.download import ALLOW_DOWNLOAD
from captioner.hub_presets import HUB
from captioner.storage import DataError, digest_file, digest_json

CONFIG_FILE = "config.json"  # in every preset


def is_hub(name: str | os.PathLike[str]) -> bool:
    """Tell whether a model's name is a KerasHub preset."""
    return str(name).startswith(HUB)


def preset_of(name: str | os.PathLike[str]) -> str:
    """Return the preset or the folder that follows `hub:`."""
    return str(Path(preset).expanduser()) if (preset := str(name).removeprefix(HUB)).startswith("~") else preset


def is_local(preset: str) -> bool:
    """Tell whether a preset is a local folder."""
    return Path(preset).is_dir() or (
        "://" not in preset and (preset.startswith((".", "~")) or os.sep in preset or "/" in preset)
    )


def require_hub(name: str | os.PathLike[str]) -> None:
    """Refuse the name of a model that cannot be loaded, as far as this can be checked without loading it.

    Raises:
        DataError: its folder does not exist or is not a preset, or downloading it is not allowed.
    """
    preset = preset_of(name)
    if not preset:
        raise DataError(f"{HUB}: has no preset; add one, such as {HUB}pali_gemma_3b_mix_224, or a preset's folder")
    if is_local(preset):
        if not Path(preset).is_dir():
            raise DataError(f"{name}: no such folder; name a folder that KerasHub's save_to_preset wrote")
        if not (Path(preset) / CONFIG_FILE).is_file():
            raise DataError(f"{name}: is not a preset, it has no {CONFIG_FILE}; KerasHub's save_to_preset writes one")
    elif os.environ.get(ALLOW_DOWNLOAD, "") in ("", "0"):
        raise DataError(
            f"{name}: needs a download, often of gigabytes; allow it with --allow-download or {ALLOW_DOWNLOAD}=1"
        )


def digest_hub(name: str | os.PathLike[str]) -> str:
    """Return a digest that identifies a model: of a folder's files, or of a preset's name."""
    folder = Path(preset_of(name))
    if not folder.is_dir():
        return digest_json({"preset": str(name)})
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_json({str(path.relative_to(folder)): digest_file(path) for path in files})
