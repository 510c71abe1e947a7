"""Options that several commands share."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from captioner.recipe import Recipe, Source

logger = logging.getLogger(__name__)


class NamedPath(click.Path):
    """A path that must not be empty: an unset shell variable would otherwise mean the current folder.

    Args:
        file_okay, dir_okay: whether it may be a file, and a folder.
    """

    def __init__(self, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("the name is empty; name a file or a folder", param, context)
        return super().convert(value, param, context)


class Finite(click.FloatRange):
    """A number in a range; `nan` and `inf` are none."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, context)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number; give one", param, context)
        return number


class ModelName(NamedPath):
    """A run folder, a .keras file, or `hub:` with a KerasHub preset, which is kept as typed."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Return a path, or the name of a KerasHub model."""
        hub = isinstance(value, str) and value.startswith("hub:")
        return value if hub else super().convert(value, param, context)


def output_folder(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add -o for a folder; an existing file with that name is refused before any work."""
    return click.option("-o", "--output", type=NamedPath(file_okay=False), metavar="FOLDER", help=f"{default}.")


def recipe_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add -c and --set."""
    function = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a setting of the recipe, such as train.batch_size=64. Can be repeated.",
    )(function)
    return click.option(
        "-c",
        "--config",
        metavar="RECIPE",
        help="YAML recipe, or the name of a built-in one (default: ./captioner.yaml if it exists, or the sample's).",
    )(function)


def allow_download(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --allow-download, which sets CAPTIONER_ALLOW_DOWNLOAD for this process."""

    def allow(_context: click.Context, _option: click.Parameter, value: bool) -> None:
        if value:
            os.environ["CAPTIONER_ALLOW_DOWNLOAD"] = "1"

    return click.option(
        "--allow-download",
        is_flag=True,
        expose_value=False,
        callback=allow,
        help="Allow downloads that the model refers to: encoder weights at an address, or a KerasHub preset.",
    )(function)


def read_recipe(config: str | None, assignments: tuple[str, ...]) -> tuple[Source, Recipe]:
    """Return the recipe for -c and --set; without -c, log which recipe is used."""
    from captioner.recipe import find_recipe, load_recipe

    source = find_recipe(config)
    recipe = load_recipe(source, assignments)
    if source.embedded:
        logger.info("no recipe given and no captioner.yaml here; using the sample's recipe")
    elif config is None:
        logger.info(f"using {source.path}")
    return source, recipe
