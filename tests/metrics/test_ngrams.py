import itertools
from collections import Counter

import numpy as np
import pytest

from captioner.metrics.ngrams import count_ngrams, documents, flatten

CAPTIONS = [caption.split() for caption in ["the dog and the dog and the cat", "", "the", "a dog and the", "a a a a a"]]


def counted(caption: list[str], order: int) -> list[int]:
    return sorted(Counter(zip(*(caption[start:] for start in range(order)), strict=False)).values())


def test_every_caption_is_counted_on_its_own() -> None:
    lengths, orders = count_ngrams(CAPTIONS)
    assert lengths.tolist() == [8, 0, 1, 4, 5]
    for (number, caption), (order, ngrams) in itertools.product(enumerate(CAPTIONS), enumerate(orders, start=1)):
        assert sorted(ngrams.times[ngrams.caption == number].tolist()) == counted(caption, order)


def test_the_same_words_are_the_same_ngram_in_any_call() -> None:
    alone = count_ngrams([["dog", "and", "the"]])[1][2]
    assert alone.key[0] in count_ngrams(CAPTIONS)[1][2].key
    assert alone.key[0] not in count_ngrams([["and", "dog", "the"], ["the", "and", "dog"]])[1][2].key


def test_ngrams_are_found_in_the_caption_asked_for_and_in_no_other() -> None:
    bigrams = count_ngrams(CAPTIONS)[1][1]
    key = count_ngrams([["dog", "and"]])[1][1].key.repeat(len(CAPTIONS))
    found, entry = bigrams.find(key, np.arange(len(CAPTIONS)))
    assert found.tolist() == bigrams.caption[entry].tolist() == [0, 3]
    assert bigrams.times[entry].tolist() == [2, 1]


@pytest.mark.parametrize("captions", [[], [[]], [["a"], []]])
def test_nothing_is_found_where_there_is_nothing(captions: list[list[str]]) -> None:
    pairs = count_ngrams(captions)[1][1]
    found, entry = pairs.find(np.array([5], np.uint64), np.array([0]))
    assert len(pairs.key) == len(found) == len(entry) == 0


def test_an_unbreakable_space_parts_words() -> None:
    assert count_ngrams([["1\u00a01/2", "cups"]])[0].tolist() == [3]


def test_a_document_counts_once_whatever_it_repeats() -> None:
    captions, document = flatten([[["a", "dog", "a"], ["a", "cat"]], [["a"]], [["the", "dog"]]])
    words = count_ngrams(captions)[1][0]
    frequency = dict(zip(*(array.tolist() for array in documents(words, document)), strict=True))
    of = {word: frequency[int(count_ngrams([[word]])[1][0].key[0])] for word in ["a", "dog", "cat", "the"]}
    assert of == {"a": 2, "dog": 2, "cat": 1, "the": 1}
