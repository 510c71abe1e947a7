"""The settings' words as numbers."""

import pytest

from captioner.generation.config import GenerationConfig
from captioner.generation.word_rules import WordRules
from captioner.text.vocabulary import TextConfig, Vocabulary

CAPTIONS = [["a", "dog", "of", "the", "house"], ["a", "puppy", "of", "a", "dog"]] * 5
WORDS = Vocabulary.fit(CAPTIONS, TextConfig(min_count=1))
PIECES = Vocabulary.fit(CAPTIONS, TextConfig(min_count=1, vocabulary="bpe", max_words=60))


def numbers(vocabulary, *words):
    return tuple(sorted(vocabulary.words.index(word) for word in words))


def test_bad_endings_of_a_vocabulary_of_words():
    rules = WordRules.of(GenerationConfig(bad_endings="english"), WORDS)
    assert rules.endings == numbers(WORDS, "a", "of", "the")


def test_a_word_of_pieces_is_known_by_the_piece_that_begins_it():
    rules = WordRules.of(GenerationConfig(bad_endings="english", banned_words=("dog",)), PIECES)
    assert rules.endings == numbers(PIECES, "▁a", "▁of", "▁the")
    assert set(numbers(PIECES, "▁dog")) < set(rules.forbidden)


def test_specials_of_pieces_have_their_names():
    with pytest.raises(ValueError, match="<end> ends captions and cannot be banned"):
        WordRules.of(GenerationConfig(banned_words=("<end>",)), PIECES)


@pytest.mark.parametrize(
    ("required", "kept"),
    [
        (("dog", "dog"), [("dog",)]),
        (("dog", "dog|puppy"), [("dog",)]),
        (("dog|puppy", "puppy|dog|house", "house"), [("dog", "puppy"), ("house",)]),
        (("dog", "puppy"), [("dog",), ("puppy",)]),
    ],
)
def test_a_required_word_that_another_one_implies_is_left_out(required, kept):
    rules = WordRules.of(GenerationConfig(must_include=required), WORDS)
    assert list(rules.must_include) == [tuple(WORDS.words.index(word) for word in words) for words in kept]


def test_words_of_settings_may_have_capitals():
    rules = WordRules.of(GenerationConfig(banned_words=("Dog",), bad_endings=("English", "House")), WORDS)
    assert set(numbers(WORDS, "dog")) < set(rules.forbidden)
    assert rules.endings == numbers(WORDS, "a", "house", "of", "the")


def test_an_unknown_word_is_said_once(said):
    for _ in range(2):
        WordRules.of(GenerationConfig(banned_words=("zeppelin",)), WORDS)
    assert said == ["note: banned_words: 'zeppelin' is not in the vocabulary"]
