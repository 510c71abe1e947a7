"""Read YAML and `--set key=value` into any frozen dataclasses. Independent of the stages."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from captioner.storage import DataError, read_text

T = TypeVar("T")

MAX_YAML = 2**20  # characters of a settings file
MAX_VALUES = 10_000  # values in it, with aliases expanded
MAX_DEPTH = 50
LARGEST = 2**53  # largest whole number


class ConfigError(Exception):
    """A setting is unknown, of the wrong type, or impossible. The message is one line that names its key."""


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that contains one mapping.

    Raises:
        DataError: the file cannot be read.
        ConfigError: the file is not YAML, not a mapping with text keys, or repeats a key.
    """
    try:
        content = _read_yaml(read_text(path))
    except DataError:
        raise
    except _KeyTwiceError as error:
        raise ConfigError(f"{path}: {error}") from None
    except Exception as error:  # YAML can raise any error: 2024-02-31 is read as a date and raises ValueError
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "the file"
        raise ConfigError(f"{path}: {where} is not YAML ({getattr(error, 'problem', None) or 'unreadable'})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found {_show(content)}")
    if odd := [key for key in content if not isinstance(key, str)]:
        raise ConfigError(f"{path}: expected names of settings, found {_show(odd[0])}")
    return content


def _read_yaml(text: str) -> Any:
    """Parse YAML. Aliases are counted first, because nested aliases can expand a few lines to gigabytes.

    Raises:
        ValueError, yaml.YAMLError and others: the text is not YAML, or too large or too deep.
    """
    if len(text) > MAX_YAML:
        raise yaml.MarkedYAMLError(problem=f"{len(text):,} characters are too many for settings")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _expanded_size(node, {}, 0)
        _require_once(node, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded_size(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Return the number of values in a node, with all aliases expanded."""
    if depth > MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem="nested too deep, or an alias within itself", problem_mark=node.start_mark)
    if id(node) not in known:
        children = node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else []
        flat = (part for child in children for part in (child if isinstance(child, tuple) else (child,)))
        known[id(node)] = 1 + sum(_expanded_size(child, known, depth + 1) for child in flat)
    if known[id(node)] > MAX_VALUES:
        raise yaml.MarkedYAMLError(problem="aliases expand to too many values", problem_mark=node.start_mark)
    return known[id(node)]


class _KeyTwiceError(Exception):
    """A mapping repeats a key; YAML would silently keep the second value."""


def _require_once(node: yaml.Node, seen: set[int]) -> None:
    """Refuse mappings that repeat a key; each node is checked once, even if it has several aliases."""
    if id(node) in seen or not isinstance(node, yaml.SequenceNode | yaml.MappingNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _require_once(child, seen)
        return
    keys: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            line, known = key.start_mark.line + 1, keys.get((key.tag, key.value))
            if known is not None:
                raise _KeyTwiceError(
                    f"line {line}: {key.value!r} was already set in line {known}; merge the two entries"
                )
            keys[key.tag, key.value] = line
        _require_once(value, seen)


def dump_yaml(content: Mapping[str, Any]) -> str:
    """Return a mapping as YAML with its keys in order."""
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)


def override(settings: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return `settings` with `section.key=value` assignments applied; values are YAML.

    Raises:
        ConfigError: an assignment has no `=` or no key, its value is not YAML, or its key goes below a plain value.
    """
    result = _copy(settings)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        names = key.strip().split(".")
        if not equals or not all(names):
            raise ConfigError(f"--set {assignment}: expected section.key=value")
        try:
            value = _read_yaml(text)
        except _KeyTwiceError as error:
            raise ConfigError(f"--set {assignment}: {error}") from None
        except Exception:
            raise ConfigError(f"--set {assignment}: the value is not YAML; quote it") from None
        place = result
        for depth, name in enumerate(names[:-1], start=1):
            if place.get(name) is None:
                place[name] = {}
            place = place[name]
            if not isinstance(place, dict):
                raise ConfigError(f"--set {assignment}: {'.'.join(names[:depth])} is a plain value and has no keys")
        place[names[-1]] = value
    return result


def _copy(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in settings.items()}


def build(cls: type[T], settings: Mapping[str, Any] | None, where: str = "") -> T:
    """Build the dataclass `cls` from `settings`, checking every key and every type; nested dataclasses too.

    Args:
        cls: a dataclass; its fields' types may be bool, int, float, str, Literal, unions, tuple[X, ...], dict[str, X]
            and dataclasses.
        settings: keys and plain values, as read from YAML.
        where: the key of `settings`, for messages.

    Raises:
        ConfigError: an unknown or missing key (the message suggests the most similar key), a value of the wrong type,
            or a value that the dataclass' `__post_init__` refuses with a ValueError or ConfigError.
    """
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where or 'the configuration'}: expected a mapping of settings, found {_show(settings)}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in settings.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in fields:
            elsewhere = [] if where else _inner_settings(hints, str(key))
            hint = f"did you mean {elsewhere[0]}?" if elsewhere else suggest(str(key), fields)
            raise ConfigError(f"{path}: unknown setting; {hint}")
        values[key] = _convert(hints[key], value, path)
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where + '.' if where else ''}{name}: missing; give it in the YAML file or with --set")
    try:
        return cls(**values)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"{where + ': ' if where else ''}{error}") from None


def _inner_settings(hints: Mapping[str, Any], key: str) -> list[str]:
    """Return the settings named `key` in a dataclass' sections, such as train.epochs for epochs."""
    sections = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    return [
        f"{name}.{key}" for name, hint in sections.items() if key in {field.name for field in dataclasses.fields(hint)}
    ]


def suggest(key: str, known: Iterable[str], shown: Iterable[str] | None = None) -> str:
    """Return a hint for an unknown name: the most similar known name, or a list of known names.

    Args:
        key: the unknown name.
        known: the known names.
        shown: the names to list if none is similar; None for all known names.
    """
    known = list(known)
    near = get_close_matches(key, known, n=1)
    listed = sorted(known) if shown is None else list(shown)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(listed) or 'none'}"


def _convert(expected: Any, value: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if expected is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, path)
    if origin is Literal:
        if value in arguments and type(value) in {type(argument) for argument in arguments}:
            return value
    elif origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_convert(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    elif origin is dict:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: _convert(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    elif dataclasses.is_dataclass(expected):
        return build(typing.cast("type[Any]", expected), value, path)
    else:
        converted = _convert_plain(expected, value)
        if converted is not None or (value is None and expected is type(None)):
            return converted
    raise ConfigError(f"{path}: expected {describe_type(expected)}, found {_show(value)}")


def _convert_union(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in choices:
        return None  # and not the section with its defaults
    sections = [choice for choice in choices if dataclasses.is_dataclass(choice)]
    if isinstance(value, Mapping) and len(sections) == 1:
        return _convert(sections[0], value, path)  # so that the message names the wrong key
    for choice in choices:
        try:
            return _convert(choice, value, path)
        except ConfigError:
            continue
    raise ConfigError(
        f"{path}: expected {' or '.join(describe_type(choice) for choice in choices)}, found {_show(value)}"
    )


def _convert_plain(expected: type, value: Any) -> Any:
    if expected is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)  # YAML reads 1e-3 as text
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None
    if expected is int and isinstance(value, int) and (isinstance(value, bool) or abs(value) > LARGEST):
        return None
    if expected is str and isinstance(value, str) and not _names_something(value):
        return None
    return value if isinstance(value, expected) else None


def _names_something(text: str) -> bool:
    """Tell whether a text can be a file name: it must not contain a zero byte or an unpaired surrogate."""
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def describe_type(expected: Any) -> str:
    """Return the name of a type for messages."""
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
    if typing.get_origin(expected) is Literal:
        return f"one of {', '.join(str(argument) for argument in typing.get_args(expected))}"
    if typing.get_origin(expected) is tuple:
        return "a list"
    if typing.get_origin(expected) is dict or dataclasses.is_dataclass(expected):
        return "a mapping"
    return names.get(expected, getattr(expected, "__name__", str(expected)))


def _show(value: Any) -> str:
    return "null" if value is None else f"{reprlib.repr(value)} ({type(value).__name__})"


def to_settings(config: Any) -> dict[str, Any]:
    """Return a dataclass as plain keys and values for YAML and JSON; `build` reads them back."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_settings(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
