from dataclasses import dataclass

import pytest

from captioner.config import ConfigError
from captioner.recipe import Recipe
from captioner.settings import all_settings, as_markdown, as_text, attributes, chosen

SECTIONS = all_settings(Recipe)


def test_every_setting_says_what_it_means():
    silent = [one.name for settings in SECTIONS.values() for one in settings if not one.meaning]
    assert silent == []


def test_the_page_has_a_row_for_each():
    page = as_markdown(SECTIONS)
    for title, settings in SECTIONS.items():
        assert f"## {title}\n" in page
        assert all(f"| `{one.name}` | " in page for one in settings)


def test_defaults_and_kinds_are_those_of_the_code():
    names = {one.name: one for settings in SECTIONS.values() for one in settings}
    assert names["train.epochs"].default == "20" and names["train.epochs"].kind == "a whole number"
    assert names["train.schedule"].kind == "constant or cosine or step or exponential or inverse_sqrt or plateau"
    assert names["data.captions"].default is None
    assert names["train.clip_norm"].kind == "a number or null"


def test_a_section_an_architecture_or_a_setting_can_be_chosen():
    assert list(chosen(SECTIONS, "train")) == ["train"]
    assert {"model", "model: merge", "model: transformer"} <= chosen(SECTIONS, "model").keys()
    assert list(chosen(SECTIONS, "transformer")) == ["model: transformer"]
    assert [one.name for one in chosen(SECTIONS, "train.epochs")["train"]] == ["train.epochs"]
    assert "train.epochs (a whole number; default: 20)" in as_text(chosen(SECTIONS, "train.epochs"))


@pytest.mark.parametrize(
    "wanted, hint", [("trian", "train"), ("epochs", "train.epochs"), ("train.epoch", "train.epochs")]
)
def test_an_unknown_one_gets_a_suggestion(wanted, hint):
    with pytest.raises(ConfigError, match=rf"{wanted}: no such section or setting; did you mean {hint}\?"):
        chosen(SECTIONS, wanted)


def test_attributes_of_bases_and_several_names_in_one_entry():
    @dataclass
    class Base:
        """Base.

        Attributes:
            one: the first,
                on two lines.
            two, three: others.
        """

    class Inner(Base):
        """Inner.

        Attributes:
            two: its own.

        Raises:
            ValueError: never.
        """

    assert attributes(Inner) == {"one": "the first, on two lines.", "two": "its own.", "three": "others."}
