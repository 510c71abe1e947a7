"""Find the files that a recipe names: relative to the recipe, from any current folder."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.storage import DataError

# Values of path settings that are not paths.
NAMES = {"encoder.weights": ("imagenet", "random"), "evaluation.cider_df": ("corpus",)}
PATHS = (
    "data.images",
    "data.captions",
    "data.splits",
    "data.split_lists",
    "data.descriptions",
    "features",
    "encoder.weights",
    "model.embeddings",
    "evaluation.cider_df",
)


def base_of(recipe: Path) -> Path:
    """Return the folder that a recipe's paths start from: its own, or the parent folder if that is named configs."""
    return recipe.parent.parent if recipe.parent.name == "configs" else recipe.parent


def is_there(path: str) -> bool:
    """Tell whether a path exists, or a pattern matches a file."""
    return Path(path).exists() or bool(glob.has_magic(path) and glob.glob(path))  # noqa: PTH207  (absolute ones too)


def placed(path: str, bases: Sequence[Path]) -> str:
    """Return a relative path under the first of `bases` where it exists, or under the first base."""
    candidates = [path if base == Path() else str(base / path) for base in bases]
    return next((candidate for candidate in candidates if is_there(candidate)), candidates[0])


def with_paths(settings: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return a recipe's settings with every path in them changed.

    Args:
        settings: as read from YAML, checked or not.
        change: function that returns the changed path.
    """
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in settings.items()}
    for name in PATHS:
        *sections, key = name.split(".")
        place: Any = result
        for section in sections:
            place = place.get(section) if isinstance(place, dict) else None
        if isinstance(place, dict) and place.get(key) is not None:
            place[key] = _changed(place[key], NAMES.get(name, ()), change)
    return result


def _changed(value: Any, names: Sequence[str], change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if value in names or not value else change(value)
    if isinstance(value, Mapping):
        return {key: _changed(item, names, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(item, names, change) for item in value]
    return value  # a split may be a share, a number


def require_there(path: str, setting: str, recipe: Path, option: str) -> None:
    """Refuse a run if a file that its recipe names is missing.

    Args:
        path: path of the file.
        setting: the setting that names it.
        recipe: the recipe file.
        option: the command's option that names another file.

    Raises:
        DataError: the file is missing.
    """
    if not is_there(path):
        raise DataError(f"{path}: no such file, named by {setting} in {recipe}; name another one with {option}")
