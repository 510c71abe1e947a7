import math

import pytest

from captioner.config import ConfigError, build, to_settings
from captioner.generation.config import GenerationConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam_size": 0}, "beam_size must be 1 or more, found 0"),
        ({"max_length": 0}, "max_length must be 1 or more, found 0"),
        ({"beam_size": 10**9}, "beam_size must be at most 1,000, found 1000000000"),
        ({"max_length": 10**9}, "max_length must be at most 1,000, found 1000000000"),
        ({"length_penalty": 1e308}, "length_penalty must be at most 10, found 1e[+]308"),
        ({"length_penalty": math.nan}, "length_penalty must be 0 or more, found nan"),
        ({"diversity": math.inf}, "diversity must be at most 1,000,000, found inf"),
        ({"temperature": math.inf}, "temperature must be at most 1000.0, found inf"),
        ({"temperature": math.nan}, "temperature must be 0.001 or more, found nan"),
        ({"seed": 2**40}, "seed must be at most"),
        ({"length_penalty": -1.0}, "length_penalty must be 0 or more, found -1.0"),
        ({"beam_size": 5, "groups": 2}, "groups must divide the beam into equal parts, found 2 groups of beam_size 5"),
        ({"sampling": True, "groups": 3}, "groups are for beam search, found 3 with sampling"),
        ({"temperature": 0.0}, "temperature must be 0.001 or more, found 0.0; for the most probable word, use"),
        ({"temperature": -0.5}, "temperature must be 0.001 or more, found -0.5"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, found 0.0"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1, found 1.1"),
        ({"top_k": -1}, "top_k must be 0 or more, found -1"),
        ({"min_length": 9, "max_length": 8}, "min_length 9 is above max_length 8"),
        ({"banned_words": "english"}, "banned_words must be a list of words, found 'english'"),
        ({"bad_endings": "englsh"}, "bad_endings must be a list of words, found 'englsh'"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**settings)


@pytest.mark.parametrize("endings", ["english", ["a", "the"], []])
def test_settings_come_back_from_plain_values(endings):
    config = build(GenerationConfig, {"bad_endings": endings, "banned_words": ["man"], "sampling": True})
    assert config.bad_endings == (endings if endings == "english" else tuple(endings))
    assert build(GenerationConfig, to_settings(config)) == config
    assert hash(config) == hash(GenerationConfig(bad_endings=endings, banned_words=["man"], sampling=True))


def test_one_word_where_a_list_is_wanted():
    with pytest.raises(ConfigError, match=r"bad_endings: expected one of english or a list, found 'a' \(str\)"):
        build(GenerationConfig, {"bad_endings": "a"})
