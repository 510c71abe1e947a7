"""What data/README.md shows is understood: its commands by the command line, its settings by DataConfig."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from captioner.cli import COMMANDS, cli
from captioner.config import build
from captioner.data.dataset import DataConfig
from captioner.data.download.catalog import DATA_SETS
from captioner.data.readers.detect import READERS
from captioner.recipe import find_recipe

README = (Path(__file__).parents[2] / "data" / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


@pytest.mark.parametrize("line", [line for block in blocks("bash") for line in block.splitlines()])
def test_a_command_is_understood(line):
    program, name, *arguments = shlex.split(line)
    assert program == "captioner" and name in COMMANDS
    with cli.make_context("captioner", [name, *arguments]) as group:
        context = cli.get_command(group, name).make_context(name, arguments, parent=group)
    if name == "download":
        assert context.params["name"] in DATA_SETS
        known = {archive.name.removesuffix(".zip") for archive in DATA_SETS[context.params["name"]].archives}
        assert set(context.params["only"]) <= known
    elif context.params.get("config"):
        find_recipe(context.params["config"])


@pytest.mark.parametrize("block", blocks("yaml"))
def test_settings_are_understood(block):
    build(DataConfig, yaml.safe_load(block)["data"], "data")


def test_every_form_and_set_is_described():
    for name in READERS:
        assert f"`{name}`" in README, name
    for name in DATA_SETS:
        assert f"captioner download {name}" in README, name
