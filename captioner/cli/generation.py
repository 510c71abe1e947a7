"""The options that say how captions are generated, shared by the commands that generate them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from captioner.recipe import Recipe


class WordList(click.ParamType):
    """Words with commas between them."""

    name = "WORDS"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, ...]:
        """Return the words."""
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in value.split(",") if word.strip())


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_WHOLE, _ABOVE_ZERO = click.IntRange(min=0), click.FloatRange(min=0, min_open=True)
_SHARE = click.FloatRange(min=0, min_open=True, max=1)
_ENGLISH = 'Words that no caption ends with; "english": a, the, of, with and their like'


def _setting(name: str, help: str, **settings: Any) -> Decorator:  # noqa: A002
    """Return an option that takes a value; a captioner has its own from the recipe that it was trained with."""
    return click.option(name, help=f"{help} (default: the model's own).", **settings)


# setting of GenerationConfig -> its option
_OPTIONS: dict[str, Decorator] = {
    "beam_size": _setting("--beam-size", "Hypotheses kept per picture; 1 is greedy search", type=click.IntRange(min=1)),
    "max_length": _setting("--max-length", "The most words of a caption, its end included", type=click.IntRange(min=1)),
    "length_penalty": _setting("--length-penalty", "The higher, the longer the captions", type=click.FloatRange(min=0)),
    "groups": _setting("--groups", "Diverse beam search: the beam in so many groups", type=click.IntRange(min=1)),
    "diversity": _setting(
        "--diversity",
        "Diverse beam search: penalty for words that other groups have chosen",
        type=click.FloatRange(min=0),
    ),
    "sampling": click.option(
        "--sample", "sampling", is_flag=True, default=None, help="Draw words by chance, without a beam."
    ),
    "temperature": _setting(
        "--temperature", "Sampling: below 1 keeps to likely words, above 1 dares more", type=_ABOVE_ZERO
    ),
    "top_k": _setting("--top-k", "Sampling: draw from so many of the most probable words; 0 is all", type=_WHOLE),
    "top_p": _setting(
        "--top-p", "Sampling: draw from the most probable words that together have this probability", type=_SHARE
    ),
    "seed": _setting("--seed", "Sampling: the same seed gives the same captions", type=_WHOLE),
    "min_length": _setting("--min-length", "The fewest words of a caption", type=_WHOLE),
    "no_repeat_ngram": _setting(
        "--no-repeat-ngram", "No sequence of N words twice in a caption; 0 allows all", type=_WHOLE, metavar="N"
    ),
    "banned_words": _setting(
        "--banned-words", "Words that no caption holds, with commas between them", type=WordList()
    ),
    "bad_endings": _setting("--bad-endings", _ENGLISH, type=WordList()),
    "start": _setting("--start", "Words that every caption begins with", metavar="TEXT"),
    "must_include": _setting(
        "--must-include",
        "Words that every caption holds, with commas between them; dog|dogs is one or the other",
        type=WordList(),
    ),
    "prompt": _setting("--prompt", "What a model of KerasHub (hub:PRESET) is asked", metavar="TEXT"),
    "allow_unk": click.option("--allow-unk", is_flag=True, default=None, help="Let captions hold <unk>."),
}


def generation_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets those that were given as `generation`, settings of GenerationConfig."""

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
    """Return the option, as it is typed, of a command's argument or of a setting of GenerationConfig."""
    name = "sample" if setting == "sampling" else setting.replace("_", "-")
    return f"-{name}" if len(name) == 1 else f"--{name}"


def assigned_generation(assignments: Sequence[str], recipe: Recipe) -> dict[str, Any]:
    """Return the settings of GenerationConfig that `--set generation.NAME=VALUE` gives, as the options would.

    Args:
        assignments: as they were typed.
        recipe: with these assignments.

    Raises:
        ConfigError: options of beam search and of sampling are given together.
    """
    from captioner.config import override
    from captioner.generation.options import settings_of

    names = override({}, assignments).get("generation") or {}
    return settings_of({name: getattr(recipe.generation, name) for name in names}, lambda name: f"generation.{name}")
