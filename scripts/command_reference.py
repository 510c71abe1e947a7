"""Writes the reference of the commands and of a recipe's settings as Markdown."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from captioner.cli import COMMANDS, cli
from captioner.recipe import Recipe
from captioner.settings import all_settings, as_markdown
from captioner.storage import write_text


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield every command: its name, itself, and a context to ask it for its help."""
    width: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}
    # with the settings of the group: Click remembers the help option of the first context
    parent = click.Context(cli, info_name="captioner", **width, **cli.context_settings)
    yield "captioner", cli, parent
    for name in COMMANDS:
        command = cli.get_command(parent, name)
        if command is None:
            raise LookupError(name)
        yield f"captioner {name}", command, click.Context(command, parent, info_name=name, **width)


def command_reference() -> str:
    """Return the help of every command, one section each."""
    sections = ["# Commands\n"]
    for name, command, context in commands():
        sections.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Where commands.md and settings.md go.")
    folder = parser.parse_args().folder
    write_text(folder / "commands.md", command_reference())
    write_text(folder / "settings.md", as_markdown(all_settings(Recipe)))


if __name__ == "__main__":
    main()
