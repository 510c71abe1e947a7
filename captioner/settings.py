"""The reference of a recipe's settings, generated from the dataclasses that check them and their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Union

from captioner.config import ConfigError, describe_type, suggest, to_settings
from captioner.models.config import ARCHITECTURES

MODEL = "model"
WIDTH = 100  # characters of a line on a terminal


class Setting(NamedTuple):
    """A setting in readable form.

    Attributes:
        name: section and key, such as `train.epochs`.
        kind: type of its value.
        default: in YAML notation; None if it must be given.
        meaning: one paragraph.
    """

    name: str
    kind: str
    default: str | None
    meaning: str


def all_settings(recipe: type[Any]) -> dict[str, list[Setting]]:
    """Return the settings of each section, `model` by architecture (`model: merge`).

    Args:
        recipe: the dataclass of a whole recipe.
    """
    hints, meanings = typing.get_type_hints(recipe), attributes(recipe)
    sections: dict[str, list[Setting]] = {}
    for field in dataclasses.fields(recipe):
        if field.name == MODEL:
            names = " or ".join(ARCHITECTURES)
            meaning = "the network that writes the captions; the other settings of model depend on it."
            sections[MODEL] = [Setting("model.architecture", names, "merge", meaning)]
            for architecture, (config, _) in ARCHITECTURES.items():
                sections[f"{MODEL}: {architecture}"] = list(_settings(config, MODEL))
        elif dataclasses.is_dataclass(hints[field.name]):
            sections[field.name] = list(_settings(hints[field.name], field.name))
        else:
            kind, default = _kind(hints[field.name]), _default(field)
            sections[field.name] = [Setting(field.name, kind, default, meanings.get(field.name, ""))]
    return sections


def _settings(config: Any, prefix: str) -> Iterator[Setting]:
    hints, meanings = typing.get_type_hints(config), attributes(config)
    for field in dataclasses.fields(config):
        name = f"{prefix}.{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _settings(hints[field.name], name)
        else:
            yield Setting(name, _kind(hints[field.name]), _default(field), meanings.get(field.name, ""))


def attributes(config: type[Any]) -> dict[str, str]:
    """Return the texts about the fields in the `Attributes:` of a dataclass' docstring and those of its bases."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        block = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
        block = re.split(r"^\S", block, maxsplit=1, flags=re.M)[0]
        for entry in re.split(r"\n(?=    [a-z])", "\n" + block):
            names, colon, text = entry.strip().partition(":")
            if colon:
                found |= dict.fromkeys((name.strip() for name in names.split(",")), " ".join(text.split()))
    return found


def _kind(expected: Any) -> str:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(argument) for argument in arguments))
    if origin is Literal:
        return " or ".join(str(argument) for argument in arguments)
    return describe_type(expected)


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return None
    plain = (
        list(value) if isinstance(value, tuple) else to_settings(value) if dataclasses.is_dataclass(value) else value
    )
    if plain in ("", {}):
        return "none"
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def chosen(sections: Mapping[str, list[Setting]], wanted: str | None) -> dict[str, list[Setting]]:
    """Return the sections, architectures or settings with the name `wanted`, or all for None.

    Raises:
        ConfigError: the name does not exist; the message suggests the most similar one.
    """
    if wanted is None:
        return dict(sections)
    whole = {
        title: settings
        for title, settings in sections.items()
        if wanted in (title, title.partition(":")[0], title.partition(": ")[2])
    }
    if whole:
        return whole
    under = {
        title: [one for one in settings if one.name == wanted or one.name.startswith(f"{wanted}.")]
        for title, settings in sections.items()
    }
    if found := {title: settings for title, settings in under.items() if settings}:
        return found
    keys = {one.name for settings in sections.values() for one in settings}
    known = [*dict.fromkeys(title.partition(":")[0] for title in sections), *ARCHITECTURES]
    bare = sorted(name for name in keys if name.rpartition(".")[2] == wanted)
    hint = f"did you mean {bare[0]}?" if bare else suggest(wanted, [*known, *keys], known)
    raise ConfigError(f"{wanted}: no such section or setting; {hint}")


def as_text(sections: Mapping[str, list[Setting]]) -> str:
    """Return the reference for a terminal."""
    lines = []
    for title, settings in sections.items():
        lines += [f"{title}", ""]
        for one in settings:
            default = "must be given" if one.default is None else f"default: {one.default}"
            lines.append(f"  {one.name} ({one.kind}; {default})")
            lines += textwrap.wrap(one.meaning, WIDTH, initial_indent="      ", subsequent_indent="      ")
        lines.append("")
    return "\n".join(lines).rstrip()


def as_markdown(sections: Mapping[str, list[Setting]]) -> str:
    """Return the reference as a Markdown page."""
    lines = [
        "# Settings of a recipe",
        "",
        "Written by `captioner settings --markdown`. To change a setting on the command line, use "
        "`--set section.key=value`, such as `--set train.epochs=30`.",
    ]
    for title, settings in sections.items():
        lines += ["", f"## {title}", "", "| setting | value | default | |", "|---|---|---|---|"]
        for one in settings:
            default = "must be given" if one.default is None else f"`{one.default}`"
            cells = (f"`{one.name}`", one.kind, default, one.meaning)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"
