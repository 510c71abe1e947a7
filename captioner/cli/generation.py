"""The options for generating captions, shared by the commands that generate them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from captioner.cli.options import Finite

if TYPE_CHECKING:
    from captioner.recipe import Recipe


class WordList(click.ParamType):
    """A comma-separated list of words."""

    name = "WORDS"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, ...]:
        """Return the words."""
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in value.split(",") if word.strip())


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_WHOLE, _ABOVE_ZERO = click.IntRange(min=0), Finite(min=0, min_open=True)
_SHARE = Finite(min=0, min_open=True, max=1)
_ENGLISH = 'Words that no caption may end with; "english": a, the, of, with and similar words'


def _setting(name: str, help: str, **settings: Any) -> Decorator:  # noqa: A002
    """Return an option that takes a value; its default comes from the recipe that the captioner was trained with."""
    return click.option(name, help=f"{help} (default: the model's own).", **settings)


# setting of GenerationConfig -> its option
_OPTIONS: dict[str, Decorator] = {
    "beam_size": _setting("--beam-size", "Hypotheses kept per picture; 1 is greedy search", type=click.IntRange(min=1)),
    "max_length": _setting(
        "--max-length", "Maximum number of words, including the end token", type=click.IntRange(min=1)
    ),
    "length_penalty": _setting("--length-penalty", "Higher values give longer captions", type=Finite(min=0)),
    "groups": _setting("--groups", "Diverse beam search: number of groups of the beam", type=click.IntRange(min=1)),
    "diversity": _setting(
        "--diversity",
        "Diverse beam search: penalty for words that other groups chose",
        type=Finite(min=0),
    ),
    "sampling": click.option(
        "--sample", "sampling", is_flag=True, default=None, help="Sample words at random instead of beam search."
    ),
    "temperature": _setting(
        "--temperature", "Sampling: below 1 favours likely words, above 1 unlikely ones", type=_ABOVE_ZERO
    ),
    "top_k": _setting("--top-k", "Sampling: draw from this many most probable words; 0 is all", type=_WHOLE),
    "top_p": _setting(
        "--top-p", "Sampling: draw from the most probable words that together have this probability", type=_SHARE
    ),
    "seed": _setting("--seed", "Sampling: the same seed gives the same captions", type=_WHOLE),
    "min_length": _setting("--min-length", "Minimum number of words in a caption", type=_WHOLE),
    "no_repeat_ngram": _setting(
        "--no-repeat-ngram", "No sequence of N words may occur twice in a caption; 0 is off", type=_WHOLE, metavar="N"
    ),
    "banned_words": _setting(
        "--banned-words", "Words that no caption may contain, separated by commas", type=WordList()
    ),
    "bad_endings": _setting("--bad-endings", _ENGLISH, type=WordList()),
    "start": _setting("--start", "Words that every caption begins with", metavar="TEXT"),
    "must_include": _setting(
        "--must-include",
        "Words that every caption must contain, separated by commas; dog|dogs requires either word",
        type=WordList(),
    ),
    "consensus": _setting(
        "--consensus",
        "Weight of the agreement with the captions of similar training pictures; 0 is off",
        type=Finite(min=0),
    ),
    "prompt": _setting("--prompt", "Prompt for a KerasHub model (hub:PRESET)", metavar="TEXT"),
    "allow_unk": click.option("--allow-unk", is_flag=True, default=None, help="Allow <unk> in captions."),
}


def generation_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives the given ones as `generation`, settings of GenerationConfig."""

    @functools.wraps(function)
    def command(*positional: Any, **arguments: Any) -> Any:
        given = {name: arguments.pop(name) for name in _OPTIONS}
        from captioner.generation.options import settings_of

        settings = settings_of(given, option_of)
        return function(*positional, generation=settings, **arguments)

    for option in reversed(_OPTIONS.values()):
        option(command)
    return command


def option_of(setting: str) -> str:
    """Return the option name, as typed, for a command's argument or a setting of GenerationConfig."""
    name = "sample" if setting == "sampling" else setting.replace("_", "-")
    return f"-{name}" if len(name) == 1 else f"--{name}"


def assigned_generation(assignments: Sequence[str], recipe: Recipe) -> dict[str, Any]:
    """Return the settings of GenerationConfig given by `--set generation.NAME=VALUE`, in the form of the options.

    Args:
        assignments: the arguments of --set, as typed.
        recipe: the recipe with these assignments applied.

    Raises:
        ConfigError: options of beam search and of sampling are given together.
    """
    from captioner.config import override
    from captioner.generation.options import settings_of

    names = override({}, assignments).get("generation") or {}
    return settings_of({name: getattr(recipe.generation, name) for name in names}, lambda name: f"generation.{name}")
