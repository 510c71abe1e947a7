"""Constrained beam search against looking at every caption there is."""

import numpy as np
import pytest

from captioner.generation.config import GenerationConfig
from captioner.generation.decode import make_search
from captioner.generation.word_rules import IMPOSSIBLE
from tests.generation.toy import (
    VOCABULARY,
    TableDecoder,
    caption_of,
    every_caption,
    log_prob_of,
    log_softmax,
    random_features,
    random_table,
    run,
    run_compiled,
    search,
)

A, DOG, RUNS, THE, CAT = 4, 5, 6, 7, 8
EVERYTHING = 1000  # a beam in which every caption has its place
PLAIN = {"normalization": "none", "beam_size": EVERYTHING}


def likeliest_with(log_probs, length, needed):
    """Return the likeliest caption that holds one word of each of `needed`."""
    found = [
        (value, tokens)
        for tokens, value in every_caption(log_probs, length)
        if all(set(tokens) & set(words) for words in needed)
    ]
    return max(found)


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [(("dog",), [[DOG]]), (("dog", "cat"), [[DOG], [CAT]]), (("dog|cat", "runs"), [[DOG, CAT], [RUNS]])],
)
@pytest.mark.parametrize("seed", range(3))
def test_finds_the_likeliest_caption_that_holds_the_words(wanted, needed, seed):
    length = 4
    table, features = random_table(length, seed=seed, end=1.0), random_features(3, seed)
    found = search(TableDecoder(table), features, must_include=wanted, max_length=length, **PLAIN)
    for picture in range(3):
        log_probs = log_softmax(table + features[picture])
        value, tokens = likeliest_with(log_probs, length, needed)
        assert caption_of(found, picture) == tokens
        assert found["log_probs"][picture, 0] == pytest.approx(value, abs=1e-4)


def test_a_narrow_beam_holds_the_words_too_and_is_right_about_what_they_cost():
    table, features = random_table(8, seed=5), random_features(40, 5)  # enough pictures for batches that shrink
    config = GenerationConfig(beam_size=2, max_length=8, must_include=("cat", "dog", "the"))
    made = make_search(TableDecoder(table, regions=9), config, 2, VOCABULARY)
    found, compiled = run(made, features), run_compiled(made, features)
    for picture in range(40):
        log_probs = log_softmax(table + features[picture])
        for rank in range(2):
            tokens = caption_of(found, picture, rank)
            assert {CAT, DOG, THE} <= set(tokens) and tokens == caption_of(compiled, picture, rank)
            assert found["log_probs"][picture, rank] == pytest.approx(log_prob_of(log_probs, tokens), abs=1e-3)
            looked = found["attention"][picture, rank, : len(tokens)].argmax(-1).tolist()
            assert looked == [1, *tokens[:-1]]  # each word's attention is that of its own hypothesis


def test_words_that_do_not_fit_give_no_caption():
    found = search(TableDecoder(random_table(2)), random_features(2), must_include=("dog", "cat"), max_length=2)
    assert {DOG, CAT} <= set(caption_of(found, 0))  # they fill it, it need not end
    found = search(TableDecoder(random_table(1)), random_features(2), must_include=("dog", "cat"), max_length=1)
    assert (found["log_probs"] <= IMPOSSIBLE / 2).all()


@pytest.mark.parametrize(
    "settings", [{}, {"beam_size": 1}, {"groups": 3}, {"sampling": True}, {"must_include": ("cat",)}]
)
def test_every_caption_begins_as_wished(settings):
    table, features = random_table(6, seed=2), random_features(4, 2)
    found = search(TableDecoder(table), features, start="The DOG", max_length=6, **settings)
    for picture in range(4):
        tokens = caption_of(found, picture)
        assert tokens[:2] == [THE, DOG] and (CAT in tokens or "must_include" not in settings)
        value = log_prob_of(log_softmax(table + features[picture]), tokens)
        assert found["log_probs"][picture, 0] == pytest.approx(value, abs=1e-3)


def test_a_start_may_hold_what_is_out_later():
    table = random_table(5, seed=1)
    found = search(TableDecoder(table), random_features(2), start="a a", no_repeat_ngram=1, max_length=5)
    assert caption_of(found, 0)[:2] == [A, A]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"must_include": ("unicorn",)}, "'unicorn' is not in the vocabulary, so the model cannot write it"),
        ({"must_include": ("red dog",)}, "name single words"),
        ({"must_include": ("dog",), "banned_words": ("dog",)}, "'dog' is also banned"),
        ({"must_include": ("dog",), "sampling": True}, "works only with plain beam search, found it with sampling"),
        ({"must_include": ("a", "dog", "runs", "the", "cat")}, "at most 4 words, found 5"),
        ({"must_include": "dog"}, "must be a list of words"),
        ({"start": "a unicorn"}, "'unicorn' is not in the vocabulary"),
        ({"start": "a dog runs", "max_length": 3}, "leaves no room in captions of 3 words"),
    ],
)
def test_what_cannot_be_is_said(settings, fault):
    with pytest.raises(ValueError, match=fault):
        make_search(TableDecoder(random_table(6)), GenerationConfig(**settings), 1, VOCABULARY)


def test_no_more_captions_than_a_beam_holds():
    config = GenerationConfig(beam_size=2, must_include=("dog",))
    with pytest.raises(ValueError, match="n must be between 1 and the beam size 2, found 3"):
        make_search(TableDecoder(random_table(6)), config, 3, VOCABULARY)


def test_alternatives_that_the_model_lacks_are_passed_over():
    found = search(TableDecoder(random_table(5)), random_features(3), must_include=("puppy|dog",), max_length=5)
    assert all(DOG in caption_of(found, picture) for picture in range(3))
    assert np.isfinite(found["log_probs"]).all()


def constrained_by_hand(log_probs, needed, width, length):
    """Return the captions that a constrained beam of `width` per set of satisfied words finds, the likeliest first.

    Anderson et al. 2017, algorithm 1, in plain Python: a beam for each set, whose hypotheses are (whether it had ended
    before, log-probability, tokens). `<end>` is only possible in the set with all words, and what has ended stays.
    """
    whole = (1 << len(needed)) - 1
    beams = {0: [(False, 0.0, (1,))]}
    for position in range(length):
        grown = {}
        for satisfied, beam in beams.items():
            for _, value, tokens in beam:
                if tokens[-1] == 2:
                    grown.setdefault(satisfied, []).append((True, value, tokens))
                    continue
                for word in (2, A, DOG, RUNS, THE, CAT):
                    if word == 2 and satisfied != whole:
                        continue
                    now = satisfied | sum(1 << place for place, words in enumerate(needed) if word in words)
                    more = (False, value + log_probs[position, tokens[-1], word], (*tokens, word))
                    grown.setdefault(now, []).append(more)
        beams = {satisfied: sorted(beam, reverse=True)[:width] for satisfied, beam in grown.items()}
    return sorted(((value, list(tokens[1:])) for _, value, tokens in beams[whole]), reverse=True)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_narrow_beam_keeps_what_the_algorithm_keeps(width, seed):
    length = 5
    table, features = random_table(length, seed=seed, end=1.0), random_features(6, seed)
    settings = {"must_include": ("dog", "cat"), "max_length": length, "normalization": "none", "beam_size": width}
    found = search(TableDecoder(table), features, n=width, **settings)
    for picture in range(6):
        log_probs = log_softmax(table + features[picture])
        expected = constrained_by_hand(log_probs, [[DOG], [CAT]], width, length)
        assert len(expected) == width
        for rank, (value, tokens) in enumerate(expected):
            assert caption_of(found, picture, rank) == tokens
            assert found["log_probs"][picture, rank] == pytest.approx(value, abs=1e-4)
