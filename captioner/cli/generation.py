"""The options that say how captions are generated, shared by the commands that generate them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


class WordList(click.ParamType):
    """Words with commas between them."""

    name = "WORDS"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, ...]:
        """Return the words."""
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in value.split(",") if word.strip())


_WHOLE, _ABOVE_ZERO = click.IntRange(min=0), click.FloatRange(min=0, min_open=True)
_SHARE = click.FloatRange(min=0, min_open=True, max=1)
_ENGLISH = 'Words that no caption ends with; "english" stands for a, the, of, with and their like.'

# setting of GenerationConfig -> its option
_OPTIONS = {
    "beam_size": click.option(
        "--beam-size", type=click.IntRange(min=1), help="Hypotheses kept per picture; 1 is greedy search."
    ),
    "max_length": click.option(
        "--max-length", type=click.IntRange(min=1), help="The most words of a caption, its end included."
    ),
    "length_penalty": click.option(
        "--length-penalty", type=click.FloatRange(min=0), help="The higher, the longer the captions."
    ),
    "groups": click.option(
        "--groups", type=click.IntRange(min=1), help="Diverse beam search: the beam in so many groups."
    ),
    "diversity": click.option(
        "--diversity",
        type=click.FloatRange(min=0),
        help="Diverse beam search: penalty for words that other groups have chosen.",
    ),
    "sampling": click.option(
        "--sample", "sampling", is_flag=True, default=None, help="Draw words by chance, without a beam."
    ),
    "temperature": click.option(
        "--temperature", type=_ABOVE_ZERO, help="Sampling: below 1 keeps to likely words, above 1 dares more."
    ),
    "top_k": click.option("--top-k", type=_WHOLE, help="Sampling: draw from so many of the likeliest words; 0 is all."),
    "top_p": click.option(
        "--top-p", type=_SHARE, help="Sampling: draw from the likeliest words that together have this probability."
    ),
    "seed": click.option("--seed", type=_WHOLE, help="Sampling: the same seed gives the same captions."),
    "min_length": click.option("--min-length", type=_WHOLE, help="The fewest words of a caption."),
    "no_repeat_ngram": click.option(
        "--no-repeat-ngram", type=_WHOLE, metavar="N", help="No sequence of N words twice in a caption."
    ),
    "banned_words": click.option(
        "--banned-words", type=WordList(), help="Words that no caption holds, with commas between them."
    ),
    "bad_endings": click.option("--bad-endings", type=WordList(), help=_ENGLISH),
    "start": click.option("--start", metavar="TEXT", help="Words that every caption begins with."),
    "must_include": click.option(
        "--must-include",
        type=WordList(),
        help="Words that every caption holds, with commas between them; dog|dogs is one or the other.",
    ),
    "prompt": click.option("--prompt", metavar="TEXT", help="What a model of KerasHub (hub:PRESET) is asked."),
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
