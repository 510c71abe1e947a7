"""Constraints, against a look at every caption that the toy model can make."""

import itertools

import pytest

from captioner.generation.config import GenerationConfig
from captioner.generation.constraints import Constraints
from captioner.generation.decode import make_search
from captioner.generation.word_rules import ENGLISH_ENDINGS
from captioner.text.vocabulary import SPECIALS, Vocabulary
from tests.generation.toy import (
    VOCABULARY,
    WORDS,
    TableDecoder,
    caption_of,
    every_caption,
    log_softmax,
    random_features,
    random_table,
    search,
)

LENGTH = 4
A, DOG, RUNS, THE, CAT = range(4, 9)


def repeats(words, n):
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    return len(set(grams)) < len(grams)


CONSTRAINTS = {
    "one word never twice": ({"no_repeat_ngram": 1}, lambda words: not repeats(words, 1)),
    "no pair twice": ({"no_repeat_ngram": 2}, lambda words: not repeats(words, 2)),
    "no triple twice": ({"no_repeat_ngram": 3}, lambda words: not repeats(words, 3)),
    "n-grams longer than captions": ({"no_repeat_ngram": 9}, lambda words: True),
    "two words at least": ({"min_length": 2}, lambda words: len(words) >= 2),
    "as long as can be": ({"min_length": 4}, lambda words: len(words) == 4),
    "banned": ({"banned_words": ("dog", "the")}, lambda words: not {DOG, THE} & set(words)),
    "bad endings": ({"bad_endings": ("a", "the")}, lambda words: not words or words[-1] not in (A, THE)),
    "english": ({"bad_endings": "english"}, lambda words: not words or words[-1] not in (A, THE)),
    "all at once": (
        {"no_repeat_ngram": 1, "min_length": 1, "banned_words": ("cat",), "bad_endings": ("a",)},
        lambda words: len(words) >= 1 and not repeats(words, 1) and CAT not in words and words[-1] != A,
    ),
}


@pytest.fixture(params=CONSTRAINTS)
def constraint(request):
    return CONSTRAINTS[request.param]


def test_a_wide_beam_finds_the_best_of_the_captions_that_are_allowed(constraint):
    settings, allowed = constraint
    table = random_table(LENGTH, seed=31)
    features = random_features(5, seed=32)
    found = search(TableDecoder(table), features, 4, beam_size=700, max_length=LENGTH, **settings)
    for picture in range(5):
        captions = every_caption(log_softmax(table + features[picture]), LENGTH)
        captions = [pair for pair in captions if allowed([token for token in pair[0] if token != 2])]
        ranked = sorted(captions, key=lambda pair: -pair[1] / len(pair[0]))
        assert [caption_of(found, picture, rank) for rank in range(4)] == [tokens for tokens, _ in ranked[:4]]
        for rank in range(4):
            assert found["log_probs"][picture, rank] == pytest.approx(ranked[rank][1], abs=1e-4)


@pytest.mark.parametrize(
    "kind", [{"beam_size": 1}, {"beam_size": 4, "groups": 2}, {"sampling": True}, {"sampling": True, "top_k": 3}]
)
def test_every_search_keeps_to_them(constraint, kind):
    settings, allowed = constraint
    n = 1 if kind.get("beam_size") == 1 else 4
    decoder = TableDecoder(random_table(LENGTH, seed=33))
    found = search(decoder, random_features(40), n, max_length=LENGTH, **kind, **settings)
    shown = 0
    for picture, rank in itertools.product(range(40), range(n)):
        if found["log_probs"][picture, rank] > -1e8:
            assert allowed([token for token in caption_of(found, picture, rank) if token != 2])
            shown += 1
    assert shown >= 40  # diverse groups may find one caption twice


def test_unknown_words_are_warned_of(said):
    config = GenerationConfig(banned_words=("dog", "unicorn"))
    constraints = Constraints.of(config, VOCABULARY)
    assert constraints.forbidden == (0, 1, 3, DOG)
    Constraints.of(GenerationConfig(bad_endings=("below",)), VOCABULARY)
    assert said == [
        "note: banned_words: 'unicorn' is not in the vocabulary",
        "note: bad_endings: 'below' is not in the vocabulary",
    ]


def test_the_english_list_says_nothing_of_the_words_that_a_vocabulary_lacks(said):
    constraints = Constraints.of(GenerationConfig(bad_endings="english"), VOCABULARY)
    assert not said
    assert constraints.endings == (A, THE)
    assert {"a", "the", "of", "with", "in", "and", "is"} <= set(ENGLISH_ENDINGS)
    assert len(set(ENGLISH_ENDINGS)) == len(ENGLISH_ENDINGS)


def test_words_need_the_vocabulary():
    with pytest.raises(ValueError, match="banned_words, bad_endings, start and must_include need the vocabulary"):
        make_search(TableDecoder(random_table(2)), GenerationConfig(banned_words=("dog",)))


def test_the_end_cannot_be_banned():
    with pytest.raises(ValueError, match="banned_words: <end> ends captions and cannot be banned"):
        Constraints.of(GenerationConfig(banned_words=("<end>",)), VOCABULARY)


def test_a_vocabulary_all_of_whose_words_are_banned_leaves_the_empty_caption():
    vocabulary = Vocabulary([*SPECIALS, *map(str, range(WORDS - 4))], "ptb", 40, {})
    config = GenerationConfig(banned_words=tuple(map(str, range(WORDS - 4))), beam_size=3, max_length=3)
    made = make_search(TableDecoder(random_table(3)), config, vocabulary=vocabulary)
    assert made(random_features(1))["tokens"].shape == (1, 1, 3)
    assert list(made(random_features(1))["tokens"][0, 0]) == [2, 0, 0]
