import pytest

from captioner.config import ConfigError
from captioner.generation.config import GenerationConfig
from captioner.generation.searches import MOST, Searches


def test_a_search_is_made_once_for_each_number_of_captions_and_configuration():
    made = []
    searches = Searches(lambda n, config: made.append((n, config.beam_size)) or object())
    one, other = GenerationConfig(beam_size=3), GenerationConfig(beam_size=4)
    first = searches.get(1, one)
    assert searches.get(2, one) is not first and searches.get(1, other) is not first
    assert searches.get(1, GenerationConfig(beam_size=3)) is first
    assert made == [(1, 3), (2, 3), (1, 4)]


def test_only_the_last_ones_used_are_kept():
    searches = Searches(lambda n, config: object())
    configs = [GenerationConfig(sampling=True, seed=seed) for seed in range(MOST + 1)]
    found = [searches.get(1, config) for config in configs[:MOST]]
    assert searches.get(1, configs[0]) is found[0]  # so configs[1] was not used for longest
    searches.get(1, configs[MOST])
    assert searches.get(1, configs[0]) is found[0]
    assert searches.get(1, configs[1]) is not found[1]


def test_an_impossible_search_is_a_wrong_setting():
    def refuse(n, config):
        raise ValueError("n must be between 1 and the beam size 1, found 2")

    with pytest.raises(ConfigError, match="n must be between 1"):
        Searches(refuse).get(2, GenerationConfig())
