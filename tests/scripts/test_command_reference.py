"""Every command, option and setting is documented, and the reference that scripts/docs writes holds them all."""

import click
import pytest
from command_reference import command_reference, commands

from captioner.cli import COMMANDS
from captioner.recipe import Recipe
from captioner.settings import all_settings

EVERY = {name: (command, context) for name, command, context in commands()}


@pytest.mark.parametrize("name", EVERY)
def test_a_command_and_its_options_are_documented(name):
    command, context = EVERY[name]
    assert command.help, name
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"
        else:  # an argument is explained in the command's text, by the name that its usage line gives it
            shown = parameter.make_metavar(context).strip("[].")
            assert shown.split("]")[0] in command.help, f"{name} {shown}"


def test_the_reference_holds_every_command_and_option():
    text = command_reference()
    for name, (command, context) in EVERY.items():
        assert f"## {name}\n" in text
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Option):
                assert all(option in text for option in parameter.opts)
    assert len(EVERY) == len(COMMANDS) + 1


def test_every_setting_of_a_recipe_is_documented():
    for settings in all_settings(Recipe).values():
        for setting in settings:
            assert setting.meaning, setting.name
