import numpy as np
import pytest

from captioner.generation import decode as module
from captioner.generation.config import GenerationConfig
from captioner.generation.decode import generate, make_search
from tests.generation.toy import VOCABULARY, TableDecoder, random_features, random_table


@pytest.fixture
def sampling(monkeypatch):
    """A search whose captions depend on the pictures' numbers, in batches of 4 pictures."""
    monkeypatch.setattr(module, "LARGEST_BATCH", 4)
    decoder = TableDecoder(random_table(6, seed=1))
    return make_search(decoder, GenerationConfig(sampling=True, max_length=6, seed=5), 2, VOCABULARY)


def texts(captions):
    return [[caption.text for caption in several] for several in captions]


def test_large_inputs_are_captioned_in_parts_with_the_same_captions(sampling, monkeypatch):
    features = random_features(11, seed=2)
    parts = texts(generate(sampling, features, VOCABULARY, 3))
    assert len(parts) == 11 and len({caption for several in parts for caption in several}) > 11
    monkeypatch.setattr(module, "LARGEST_BATCH", 64)
    assert texts(generate(sampling, features, VOCABULARY, 3)) == parts


def test_numbers_may_be_those_of_any_pictures(sampling):
    features, numbers = random_features(11, seed=2), np.array([9, 4, 0, 2, 30, 7, 1, 8, 5, 6, 3])
    together = texts(generate(sampling, features, VOCABULARY, numbers))
    for row, number in enumerate(numbers.tolist()):
        assert texts(generate(sampling, features[row : row + 1], VOCABULARY, number)) == together[row : row + 1]


def test_a_prompt_is_only_for_hub_models():
    with pytest.raises(ValueError, match="prompt: only KerasHub models have one"):
        make_search(TableDecoder(random_table(6)), GenerationConfig(prompt="caption"), 1, VOCABULARY)
