import itertools
from collections import Counter

import numpy as np
import pytest

from captioner.metrics.ngrams import NGrams, count_ngrams, document_frequencies, flatten

CAPTIONS = [caption.split() for caption in ["the dog and the dog and the cat", "", "the", "a dog and the", "a a a a a"]]


def counted(caption: list[str], order: int) -> list[int]:
    return sorted(Counter(zip(*(caption[start:] for start in range(order)), strict=False)).values())


def test_every_caption_is_counted_on_its_own() -> None:
    lengths, orders = count_ngrams(CAPTIONS)
    assert lengths.tolist() == [8, 0, 1, 4, 5]
    for (number, caption), (order, ngrams) in itertools.product(enumerate(CAPTIONS), enumerate(orders, start=1)):
        assert sorted(ngrams.times[ngrams.caption == number].tolist()) == counted(caption, order)


def test_entries_stand_in_the_order_of_captions_and_of_ngrams_within_one() -> None:
    for ngrams in count_ngrams(CAPTIONS)[1]:
        place = ngrams.caption * len(ngrams.key) + ngrams.ngram
        assert (np.diff(ngrams.key.astype(object)) > 0).all() and (np.diff(place) > 0).all()


def test_the_same_words_are_the_same_ngram_in_any_call() -> None:
    threes = count_ngrams(CAPTIONS)[1][2]
    [number] = threes.number(count_ngrams([["dog", "and", "the"]])[1][2].key)
    assert threes.caption[threes.ngram == number].tolist() == [0, 3]
    assert threes.times[threes.ngram == number].tolist() == [2, 1]
    turned = count_ngrams([["and", "dog", "the"], ["the", "and", "dog"]])[1][2]
    assert threes.number(turned.key).tolist() == [-1, -1]


@pytest.mark.parametrize("captions", [[], [[]], [["a"], []]])
def test_nothing_is_found_where_there_is_nothing(captions: list[list[str]]) -> None:
    pairs = count_ngrams(captions)[1][1]
    assert len(pairs.key) == len(pairs.caption) == 0
    assert pairs.number(np.array([5, 7], np.uint64)).tolist() == [-1, -1]


def test_an_unbreakable_space_parts_words() -> None:
    assert count_ngrams([["1\u00a01/2", "cups"]])[0].tolist() == [3]


def test_a_document_counts_once_whatever_it_repeats() -> None:
    captions, document = flatten([[["a", "dog", "a"], ["a", "cat"]], [["a"]], [["the", "dog"]]])
    words = count_ngrams(captions)[1][0]
    frequency = document_frequencies(words, document)
    of = {word: frequency[words.number(count_ngrams([[word]])[1][0].key)[0]] for word in ["a", "dog", "cat", "the"]}
    assert of == {"a": 2, "dog": 2, "cat": 1, "the": 1}


def test_keys_before_between_and_after_the_known_ones_have_no_place() -> None:
    known = NGrams(np.array([2, 5], np.uint64), *(np.array([0, 1]) for _ in range(3)))
    assert known.number(np.array([1, 2, 3, 5, 9], np.uint64)).tolist() == [-1, 0, -1, 1, -1]
