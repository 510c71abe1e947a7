from dataclasses import fields

import pytest

from captioner.config import ConfigError
from captioner.generation.config import GenerationConfig
from captioner.generation.options import GenerationOptions, settings_of


def test_every_setting_has_its_option():
    names = {field.name for field in fields(GenerationConfig)}
    assert set(GenerationOptions.__annotations__) == names | {"sample"}


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        ({"beam_size": None}, {}),
        ({"sample": True}, {"sampling": True, "groups": 1}),
        ({"sample": False}, {"sampling": False}),
        ({"top_p": 0.9}, {"top_p": 0.9, "sampling": True, "groups": 1}),
        ({"beam_size": 5}, {"beam_size": 5, "sampling": False}),
        ({"groups": 1}, {"groups": 1, "sampling": False}),
        ({"banned_words": ["a"]}, {"banned_words": ("a",)}),
        ({"bad_endings": ["english"]}, {"bad_endings": "english"}),
        ({"bad_endings": "english"}, {"bad_endings": "english"}),
    ],
)
def test_what_options_mean(options, settings):
    assert settings_of(options) == settings
    assert settings_of(settings) == settings  # settings are options too


def test_a_beam_and_sampling_are_refused_together():
    with pytest.raises(ConfigError, match="beam_size and sampling: beam search and sampling exclude each other"):
        settings_of({"beam_size": 5, "sample": True})
    with pytest.raises(ConfigError, match="--groups and --top_p: "):
        settings_of({"groups": 2, "top_p": 0.5}, lambda name: f"--{name}")


def test_unknown_options_get_a_suggestion():
    with pytest.raises(TypeError, match=r"no option 'beamsize'; did you mean beam_size\?"):
        settings_of({"beamsize": 5})
