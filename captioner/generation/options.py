"""The options of captioning in Python and on the command line, and the settings that they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from captioner.config import ConfigError
from captioner.generation.config import GenerationConfig

OF_BEAMS = ("beam_size", "groups", "diversity")
OF_SAMPLING = ("sampling", "temperature", "top_k", "top_p", "seed")


class GenerationOptions(TypedDict, total=False):
    """Keywords of `Captioner.caption`: the settings of GenerationConfig, and `sample` for `sampling`."""

    beam_size: int
    max_length: int
    normalization: Literal["none", "average", "wu"]
    length_penalty: float
    groups: int
    diversity: float
    sample: bool
    sampling: bool
    temperature: float
    top_k: int
    top_p: float
    seed: int
    min_length: int
    no_repeat_ngram: int
    banned_words: Iterable[str]
    bad_endings: Literal["english"] | Iterable[str]
    allow_unk: bool
    start: str
    must_include: Iterable[str]
    prompt: str
    consensus: float


def settings_of(options: Mapping[str, Any], spelled: Callable[[str], str] = str) -> dict[str, Any]:
    """Return the settings of GenerationConfig that the options change; an option of None changes nothing.

    Options of one kind of search turn off the other kind: if a recipe samples, `beam_size=5` turns on beam search.

    Args:
        options: the options by name; `sample` stands for `sampling`.
        spelled: returns a setting's name for messages, such as `--beam-size`.

    Raises:
        TypeError: there is no such option.
        ConfigError: options of beam search and of sampling are given together.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if "sample" in given:
        given["sampling"] = given.pop("sample")
    known = [field.name for field in fields(GenerationConfig)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise TypeError(f"captioning has no option {name!r}; {hint}")
    beam = [name for name in OF_BEAMS if name in given and (name, given[name]) != ("groups", 1)]
    sampling = [name for name in OF_SAMPLING if name in given and given[name] is not False]
    if beam and sampling:
        raise ConfigError(
            f"{spelled(beam[0])} and {spelled(sampling[0])}: beam search and sampling exclude each other; choose one"
        )
    if sampling:
        given.update(sampling=given.get("sampling", True), groups=1)
    elif beam or "groups" in given:
        given["sampling"] = False
    for name in ("banned_words", "bad_endings", "must_include"):
        if not isinstance(given.get(name, ""), str):
            given[name] = tuple(given[name])
    if given.get("bad_endings") == ("english",):
        given["bad_endings"] = "english"
    return given
