"""The command line: one module per command, loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
import traceback
from difflib import get_close_matches
from typing import Any

import click

from captioner import __version__
from captioner.cli.messages import messages_printed
from captioner.encoding import escape_streams

# The help of the group is printed without loading a command: name -> what it does.
COMMANDS = {
    "download": "Download and unpack a public data set.",
    "split": "Divide pictures into train, dev and test.",
    "extract": "Encode a folder of pictures into a feature file.",
    "merge-features": "Merge the feature files of several extractions into one.",
    "encoders": "List the networks that extract can use, and their layers.",
    "clean": "Clean a caption file into descriptions.txt.",
    "shard": "Write features or pictures with their captions into TFRecord shards.",
    "train": "Train a captioner from features and captions.",
    "average": "Average the weights of several runs into one captioner.",
    "evaluate": "Caption a split and score it, or score captions made elsewhere.",
    "compare": "Tell whether two runs' captions differ by more than chance.",
    "report": "Write a run's scores, captions and pictures into one HTML page.",
    "predict": "Caption pictures.",
    "find": "Find the pictures of a folder that a text describes.",
    "doubt": "List captions that probably do not match their picture.",
    "serve": "Caption pictures over HTTP, with a page for people.",
    "export": "Write a captioner for onnxruntime, TensorFlow, LiteRT or the browser.",
    "doctor": "Show what captioner finds on this machine and what is missing.",
    "completion": "Print the completion script for a shell.",
    "run": "Run every step that is missing or out of date, in order.",
    "init": "Look at a folder of pictures and write a recipe for it.",
    "settings": "List the settings of a recipe and what they mean.",
}

# What an interrupted command leaves behind, and how to continue.
CONTINUATIONS: dict[str | None, str] = {
    "download": "run the same command again to continue",
    "extract": "run the same command again to continue",
    "serve": "the requests that were accepted were answered",
    "train": "--resume continues from the last checkpoint",
    "run": "run the same command again to continue",
    "predict": "with --out or --write, run the same command again to continue",
}

INTERRUPTED = 130
LONGEST_MESSAGE = 300  # characters of an unexpected error


class InterruptedByUserError(Exception):
    """The user pressed Ctrl-C."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called, so that --help costs nothing."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the commands in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return a command."""
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"captioner.cli.{name.replace('-', '_')}").command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one, suggest the command that was probably meant."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            raise click.UsageError(f"No such command {name!r}; {meant_command(name)}")
        return super().resolve_command(context, args)

    def invoke(self, context: click.Context) -> Any:
        """Call the command; turn the errors that click would report in its own format into others."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt as error:
            raise InterruptedByUserError from error
        except EOFError as error:  # click would treat it as the end of typed input
            raise RuntimeError(f"a file ends too soon ({error})") from error

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' short help texts without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


# Names that people type for commands with another name.
OTHER_NAMES = {
    "help": "--help",
    "version": "--version",
    "caption": "predict",
    "describe": "predict",
    "test": "evaluate",
    "eval": "evaluate",
    "score": "evaluate",
    "fit": "train",
    "start": "init",
    "new": "init",
    "config": "settings",
    "options": "settings",
    "features": "extract",
    "encode": "extract",
    "fetch": "download",
    "preprocess": "clean",
    "merge": "merge-features",
    "all": "run",
}


def meant_command(name: str) -> str:
    """Return a hint for an unknown command: the command that was probably meant, or how to list all of them."""
    known = {**{command: command for command in COMMANDS}, **OTHER_NAMES}
    near = get_close_matches(name.lower(), known, n=1)
    return f"did you mean captioner {known[near[0]]}?" if near else "captioner --help lists them"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="captioner %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Train, evaluate and use image-captioning models.

    Caption a picture right away with the built-in captioner:

    \b
        captioner predict PICTURE

    Try every step on the included sample:

    \b
        captioner extract
        captioner train
        captioner evaluate
        captioner predict PICTURE --model runs/sample
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 bad data, 2 bad usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow logs many lines at startup
    if sys.stdout is None:  # closed by the shell, as a service may do
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the whole process
    escape_streams()
    debug = "--debug" in arguments
    try:
        code = _run(arguments, debug)
        if code:
            _end_at_once_if_awaited(code)
        sys.exit(code)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _end_at_once_if_awaited(code: int) -> None:
    """Exit at once if other processes train with this one: a normal exit would deadlock, because each waits."""
    processes = sys.modules.get("captioner.training.processes")
    if processes is not None and processes.is_joined():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: list[str], debug: bool) -> int:
    # --debug is accepted anywhere; click would accept it only before the command.
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        with messages_printed():
            result: Any = cli.main(args=rest, prog_name="captioner", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        if debug:
            raise
        return _report_usage(error)
    except (InterruptedByUserError, KeyboardInterrupt, click.Abort):
        if debug:
            raise
        return _report_interrupt(rest)
    except Exception as error:
        if debug:
            raise
        return _report(error)


def _report_usage(error: click.ClickException) -> int:
    """Print a usage error in one line (click would print four); a call without arguments shows the help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    meant = ""
    if isinstance(error, click.NoSuchOption) and (meant := _meant_setting(error)):
        error = click.NoSuchOption(error.option_name, ctx=error.ctx)  # drops the similar options that click suggests
    message = " ".join(error.format_message().split()).rstrip(".") + meant
    context = getattr(error, "ctx", None)
    hint = f"; {context.command_path} --help says more" if context is not None else ""
    click.echo(f"captioner: {message}{hint}", err=True)
    return error.exit_code


def _meant_setting(error: click.NoSuchOption) -> str:
    """Return a hint to append if an unknown option is the name of a recipe setting, or an empty string.

    A setting with exactly this name takes precedence over the similar options that click suggests.
    """
    command = error.ctx.command if error.ctx is not None else None
    if command is None or not any("--set" in option.opts for option in command.params):
        return ""
    from captioner.recipe import Recipe
    from captioner.settings import all_settings

    wanted = error.option_name.lstrip("-").replace("-", "_")
    names = [one.name for settings in all_settings(Recipe).values() for one in settings]
    by_key = {name.rpartition(".")[2]: name for name in reversed(names)}
    near = get_close_matches(wanted, by_key, n=1, cutoff=1.0 if error.possibilities else 0.6)
    return f"; --set {by_key[near[0]]}=... changes that setting of the recipe" if near else ""


def _report_interrupt(arguments: list[str]) -> int:
    """Print in one line how to continue an interrupted command, and return the exit code."""
    command = next((argument for argument in arguments if argument in COMMANDS), None)
    if sys.stderr.isatty():
        click.echo(err=True)  # the terminal has written ^C
    click.echo(f"captioner: interrupted; {CONTINUATIONS.get(command, 'nothing half-written is left')}", err=True)
    return INTERRUPTED


def _is_from_click(error: Exception) -> bool:
    """Return whether an error came while click printed, and not from another file."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("click.")


def _report(error: Exception) -> int:
    """Print an error in one line and return the exit code."""
    from captioner.config import ConfigError
    from captioner.storage import DataError

    message = " ".join(str(error).split())
    if isinstance(error, ConfigError):
        click.echo(f"captioner: {message}", err=True)
        return 2
    if isinstance(error, DataError):
        click.echo(f"captioner: {message}", err=True)
        return 1
    if isinstance(error, OSError) and _is_from_click(error):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would fail again when it ends
        click.echo(f"captioner: standard output cannot be written ({error.strerror}); send it elsewhere", err=True)
        return 1
    message = textwrap.shorten(message, LONGEST_MESSAGE)  # messages of Keras and TensorFlow can be very long
    click.echo(f"captioner: unexpected {type(error).__name__}: {message} (--debug shows where)", err=True)
    return 1
