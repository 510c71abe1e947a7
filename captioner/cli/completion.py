"""captioner completion."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class

WHERE = {
    "bash": 'add `eval "$(captioner completion bash)"` to ~/.bashrc',
    "zsh": 'add `eval "$(captioner completion zsh)"` to ~/.zshrc',
    "fish": "captioner completion fish > ~/.config/fish/completions/captioner.fish",
}


class AnyBash(BashComplete):
    """Bash without a check of the installed version, because the script may be for another machine."""

    @staticmethod
    def _check_version() -> None:
        return


@click.command("completion", epilog="\b\n" + "\n".join(f"{shell}: {how}" for shell, how in WHERE.items()))
@click.argument("shell", metavar="SHELL", type=click.Choice(list(WHERE)))
def command(shell: str) -> None:
    """Print the script that lets SHELL (bash, zsh or fish) complete captioner's commands and options.

    \b
    Examples:
        captioner completion bash >> ~/.bashrc
        captioner completion fish > ~/.config/fish/completions/captioner.fish
    """
    from captioner.cli import cli

    kind = AnyBash if shell == "bash" else get_completion_class(shell)
    if kind is None:
        from captioner.config import ConfigError

        raise ConfigError(f"{shell}: not supported by this version of click; update click")
    click.echo(kind(cli, {}, "captioner", "_CAPTIONER_COMPLETE").source())
