from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from captioner.config import ConfigError, build, dump_yaml, load_yaml, override, to_settings
from captioner.storage import DataError


@dataclass(frozen=True)
class Inner:
    units: int = 8
    rate: float = 1e-3

    def __post_init__(self):
        if self.units < 1:
            raise ValueError(f"units must be 1 or more, found {self.units}")
        if self.units == 13:
            raise ConfigError("units 13 bring bad luck")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    fast: bool = False
    mode: Literal["slow", "quick", 3] = "slow"
    clip: float | None = None
    names: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)


def test_defaults_and_nested_values():
    built = build(Outer, {"name": "a", "inner": {"units": 3}, "names": ["x", "y"], "sizes": {"a": 1}})
    assert built == Outer("a", Inner(3), names=("x", "y"), sizes={"a": 1})
    assert build(Inner, None) == Inner() and build(Outer, {"name": "a", "inner": None}) == Outer("a")


def test_it_goes_round_through_yaml(tmp_path):
    config = Outer("ä: b", Inner(3, 2e-5), True, 3, 5.0, ("x",), {"a": 1}, {"deep": {"er": [1, None]}})
    path = tmp_path / "a.yaml"
    path.write_text(dump_yaml(to_settings(config)), "utf-8")
    assert build(Outer, load_yaml(path)) == config


@pytest.mark.parametrize("text, value", [("1e-3", 1e-3), ("1", 1.0), ("2.5", 2.5), ("-1e5", -1e5)])
def test_numbers_as_yaml_reads_them(text, value):
    built = build(Inner, override({}, [f"rate={text}"]))
    assert built.rate == value and type(built.rate) is float


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "name: missing; give it in the YAML file or with --set"),
        ({"name": 3}, r"name: expected text, found 3 \(int\)"),
        ({"name": None}, "name: expected text, found null"),
        ({"name": "a", "fast": 1}, r"fast: expected true or false, found 1 \(int\)"),
        ({"name": "a", "inner": 3}, r"inner: expected a mapping of settings, found 3 \(int\)"),
        ({"name": "a", "inner": {"units": 1.5}}, r"inner\.units: expected a whole number, found 1\.5 \(float\)"),
        ({"name": "a", "inner": {"units": True}}, r"inner\.units: expected a whole number, found True \(bool\)"),
        ({"name": "a", "inner": {"rate": "fast"}}, r"inner\.rate: expected a number, found 'fast' \(str\)"),
        ({"name": "a", "inner": {"rate": True}}, r"inner\.rate: expected a number, found True \(bool\)"),
        ({"name": "a", "inner": {"rate": float("nan")}}, r"inner\.rate: expected a number, found nan \(float\)"),
        ({"name": "a", "inner": {"rate": "inf"}}, r"inner\.rate: expected a number, found 'inf' \(str\)"),
        ({"name": "a", "inner": {"rate": 10**400}}, r"inner\.rate: expected a number, found 10000.*0 \(int\)"),
        ({"name": "a", "mode": "quik"}, r"mode: expected one of slow, quick, 3, found 'quik' \(str\)"),
        ({"name": "a", "mode": 3.0}, r"mode: expected one of slow, quick, 3, found 3\.0 \(float\)"),
        ({"name": "a", "clip": "much"}, r"clip: expected a number or null, found 'much' \(str\)"),
        ({"name": "a", "names": "x"}, r"names: expected a list, found 'x' \(str\)"),
        ({"name": "a", "names": ["x", 2]}, r"names\[1\]: expected text, found 2 \(int\)"),
        ({"name": "a", "sizes": ["x"]}, r"sizes: expected a mapping, found \['x'\] \(list\)"),
        ({"name": "a", "sizes": {"x": "y"}}, r"sizes\.x: expected a whole number, found 'y' \(str\)"),
        ({"name": "a", "iner": {}}, r"iner: unknown setting; did you mean inner\?"),
        ({"name": "a", "zzz": 1}, "zzz: unknown setting; known: clip, fast, free, inner, mode, name, names, sizes"),
        ({"name": "a", 3: 1}, "3: unknown setting"),
        ({"name": "a", "inner": {"unit": 3}}, r"inner\.unit: unknown setting; did you mean units\?"),
        ({"name": "a", "inner": {"units": 0}}, "inner: units must be 1 or more, found 0"),
        ({"name": "a", "inner": {"units": 13}}, "inner: units 13 bring bad luck"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected_and_found(settings, message):
    with pytest.raises(ConfigError, match=rf"^{message}"):
        build(Outer, settings)


def test_a_long_value_is_shown_short():
    with pytest.raises(ConfigError) as caught:
        build(Outer, {"name": ["word"] * 999})
    assert len(str(caught.value)) < 100


def test_where_stands_before_the_key():
    with pytest.raises(ConfigError, match=r"^model\.units: expected a whole number"):
        build(Inner, {"units": "x"}, "model")


def test_assignments_reach_any_depth_and_leave_the_settings_alone():
    settings = {"a": {"b": 1, "c": 2}}
    assert override(settings, ["a.b=3", "d.e.f=[x, y]", "a.c=null", "g=k: 1"]) == {
        "a": {"b": 3, "c": None},
        "d": {"e": {"f": ["x", "y"]}},
        "g": {"k": 1},
    }
    assert settings == {"a": {"b": 1, "c": 2}}


def test_a_section_that_is_null_can_be_filled():
    assert override({"a": None}, ["a.b=1"]) == {"a": {"b": 1}}


def test_a_value_may_hold_an_equals_sign():
    assert override({}, ["a=b=c"]) == {"a": "b=c"}


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("a", "expected section.key=value"),
        ("=1", "expected section.key=value"),
        ("a..b=1", "expected section.key=value"),
        ("a=[1", "the value is not YAML; quote it"),
        ("a=2024-02-31", "the value is not YAML; quote it"),
        ("b.c=1", "b is a plain value and has no keys"),
    ],
)
def test_a_wrong_assignment(assignment, message):
    with pytest.raises(ConfigError) as caught:
        override({"b": 1}, [assignment])
    assert str(caught.value) == f"--set {assignment}: {message}"


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [1\nb: 2", r"a\.yaml: line 2 is not YAML"),
        ("a: 1\n\tb: 2", r"a\.yaml: line 2 is not YAML"),
        ("a: 2024-02-31", r"a\.yaml: the file is not YAML"),
        ("a: !!python/object/apply:os.system [id]", r"a\.yaml: line 1 is not YAML"),
        ("- a", r"a\.yaml: expected a mapping of settings, found \['a'\] \(list\)"),
        ("1: a", r"a\.yaml: expected names of settings, found 1 \(int\)"),
    ],
)
def test_what_is_no_mapping_in_yaml(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_yaml(tmp_path / "a.yaml")


def test_an_empty_file_is_an_empty_mapping(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert load_yaml(tmp_path / "a.yaml") == {}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"a\.yaml: no such file"):
        load_yaml(tmp_path / "a.yaml")


BOMB = "a: &a {x: 1}\n" + "".join(
    f"b{i}: &b{i} {{k: [{', '.join(['*' + (f'b{i - 1}' if i else 'a')] * 9)}]}}\n" for i in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        BOMB.replace("k:", "<<:"),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: !!timestamp abc",
        "a: " + "9" * 5000,
        "[" * 5000,
        "a: " + "{b: " * 60 + "1" + "}" * 60,
        "a: !!python/object/apply:os.system [true]",
        "a: 1\n" * 300_000,
    ],
)
def test_hostile_yaml_is_refused_before_it_is_expanded(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml: .* is not YAML"):
        load_yaml(path)
    if len(text) < 10_000:
        with pytest.raises(ConfigError, match="the value is not YAML"):
            override({}, [f"a={text}"])


def test_a_few_aliases_are_fine(tmp_path):
    (tmp_path / "c.yaml").write_text("a: &a {k: 1}\nb: {<<: *a, c: 2}\nd: [*a, *a]")
    assert load_yaml(tmp_path / "c.yaml") == {"a": {"k": 1}, "b": {"k": 1, "c": 2}, "d": [{"k": 1}, {"k": 1}]}


def test_a_zero_byte_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("name: \x00 value")
    with pytest.raises(DataError, match=r"a\.yaml: line 1 contains a zero byte"):
        load_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("train:\n  epochs: 3\nmodel: {}\ntrain:\n  seed: 1\n", "line 4: 'train' was already set in line 1"),
        ("train:\n  epochs: 3\n  epochs: 4\n", "line 3: 'epochs' was already set in line 2"),
        ("a: [{b: 1, c: 2, b: 1}]\n", "line 1: 'b' was already set in line 1"),
    ],
)
def test_a_key_that_is_there_twice_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: {fault}"):
        load_yaml(path)
    with pytest.raises(ConfigError, match=r"--set a=\{b: 1, b: 2\}: line 1: 'b' was already set in line 1"):
        override({}, ["a={b: 1, b: 2}"])


def test_keys_that_a_mapping_overrides_are_not_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a\n")
    assert load_yaml(path)["b"] == {"x": 3, "y": 2}
