"""The command line: one module per command, loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from captioner import __version__

# The help of the group is printed without loading a command: name -> what it does.
COMMANDS = {
    "extract": "Encode a folder of pictures into a feature file.",
    "clean": "Clean a caption file into descriptions.txt.",
    "train": "Train a captioner from features and captions.",
    "evaluate": "Caption a split and score it, or score captions made elsewhere.",
    "predict": "Caption pictures.",
    "run": "Do all of it: whatever is missing or out of date, in order.",
}

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called, so that --help costs nothing."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the commands in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return a command."""
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"captioner.cli.{name}").command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' one-line helps without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="captioner %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Train, evaluate and use image-captioning models.

    The quickest tour, on the sample that comes with captioner:

    \b
        captioner extract
        captioner train
        captioner evaluate
        captioner predict PICTURE
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 bad data, 2 bad usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets at length
    debug = "--debug" in arguments
    try:
        sys.exit(_run(arguments, debug))
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run(arguments: list[str], debug: bool) -> int:
    # --debug is taken wherever it stands; click would want it before the command.
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        result: Any = cli.main(args=rest, prog_name="captioner", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        if debug:
            raise
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        if debug:
            raise
        click.echo("\ninterrupted; what was written is whole, and the same command goes on from there", err=True)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        return _report(error)


def _report(error: Exception) -> int:
    """Say an error in one line and return the exit code."""
    from captioner.config import ConfigError
    from captioner.storage import DataError

    message = " ".join(str(error).split())
    if isinstance(error, ConfigError):
        click.echo(f"captioner: {message}", err=True)
        return 2
    if isinstance(error, DataError):
        click.echo(f"captioner: {message}", err=True)
        return 1
    click.echo(f"captioner: unexpected {type(error).__name__}: {message} (--debug shows where)", err=True)
    return 1
