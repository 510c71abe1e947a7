"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from captioner.recipe import Recipe, Source


def recipe_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add -c and --set."""
    function = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a setting of the recipe, such as train.batch_size=64. Can be given again.",
    )(function)
    return click.option(
        "-c",
        "--config",
        metavar="RECIPE",
        help="A YAML recipe, or the name of one in the box. Without it: captioner.yaml here, or else the sample's.",
    )(function)


def read_recipe(config: str | None, assignments: tuple[str, ...]) -> tuple[Source, Recipe]:
    """Return the recipe that -c and --set ask for; say which where none was named."""
    from captioner.recipe import find_recipe, load_recipe

    source = find_recipe(config)
    if source.embedded:
        say("no recipe named and no captioner.yaml here: using the sample's")
    elif config is None:
        say(f"using {source.path}")
    return source, load_recipe(source, assignments)


def say(line: str) -> None:
    """Tell the user something that is not the command's result: on stderr."""
    click.echo(line, err=True)
