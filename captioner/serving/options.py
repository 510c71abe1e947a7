"""The options of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captioner.serving.refusal import RefusalError
from captioner.text.styles import STYLES, Style

NAMES = ("n", "beam_size", "style", "attention", "prompt")
PROMPT_CHARACTERS = 1000


@dataclass(frozen=True)
class Options:
    """The options that a request can set.

    Attributes:
        n: captions per picture, best first.
        beam_size: hypotheses kept; None for the model's own.
        style: see captioner.text.styles.
        attention: whether to return each word's weights over the picture's regions.
        prompt: prompt for a KerasHub model; empty for the model's own.
    """

    n: int = 1
    beam_size: int | None = None
    style: Style = "plain"
    attention: bool = False
    prompt: str = ""


def read_options(fields: Mapping[str, Any], most: int) -> Options:
    """Return the options among a request's fields.

    Args:
        fields: name -> a text from a form or the address, or a JSON value. Names other than NAMES are ignored.
        most: maximum number of captions and maximum beam size.

    Raises:
        RefusalError: an option is invalid (400).
    """
    n = _count("n", fields.get("n"), most)
    beam_size = _count("beam_size", fields.get("beam_size"), most)
    if n and beam_size and n > beam_size:
        raise RefusalError(400, f"n {n} needs beam_size {n} or more (got {beam_size})")
    wanted = fields.get("style")
    style: Style | None = next((one for one in STYLES if one == (wanted or "plain")), None)
    if style is None:
        raise RefusalError(400, f"style: must be one of {', '.join(STYLES)}")
    return Options(
        n or 1, beam_size, style, _switch("attention", fields.get("attention")), read_prompt(fields.get("prompt"))
    )


def read_prompt(value: Any) -> str:
    """Return a request's prompt without surrounding spaces, or an empty string if there is none.

    Raises:
        RefusalError: the prompt is not text, or too long (400).
    """
    if value is not None and not isinstance(value, str):
        raise RefusalError(400, "prompt: must be a string")
    prompt = (value or "").strip()
    if len(prompt) > PROMPT_CHARACTERS:
        raise RefusalError(400, f"prompt: has {len(prompt)} characters; send up to {PROMPT_CHARACTERS}")
    return prompt


def _count(name: str, value: Any, most: int) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) < 10 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise RefusalError(400, f"{name}: must be a whole number from 1 to {most}")
    return value


def _switch(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}
    if value is None or value == "":
        return False
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    if not isinstance(value, bool):
        raise RefusalError(400, f"{name}: must be true or false")
    return value
