from dataclasses import replace

import pytest

from captioner.metrics.alarms import ALIKE, CUT_OFF, FEWEST, Health, health, shuffled

COLOURS = ["red", "green", "blue", "black", "white", "brown", "pink", "grey"]
THINGS = ["dog", "cat", "horse", "ball", "car", "boat"]
REFERENCES = {
    f"p{i}": (f"a {COLOURS[i % 8]} {THINGS[i % 6]} runs on the grass", f"the {COLOURS[i % 8]} {THINGS[i % 6]} is here")
    for i in range(24)
}
GOOD = {name: texts[0] for name, texts in REFERENCES.items()}


def look(texts, max_length=20):
    return health({name: text.split() for name, text in texts.items()}, texts, REFERENCES, max_length)


def test_a_healthy_model_raises_no_alarm():
    found = look(GOOD)
    assert found.alarms() == [] and found.distinct == 1.0 and found.cider_d > 2 * found.shuffled


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (dict.fromkeys(REFERENCES, "a dog"), ["nearly all the same (100% are 'a dog')", "hardly depend on"]),
        (dict.fromkeys(REFERENCES, ""), ["100% of the captions are empty"]),
        (shuffled(GOOD), ["when assigned to other pictures"]),
        ({name: f"{text} with a" for name, text in GOOD.items()}, ["100% of the captions end with a word such as 'a'"]),
    ],
)
def test_what_is_wrong_is_said(texts, words):
    alarms = " | ".join(look(texts).alarms())
    assert all(word in alarms for word in words), alarms


def test_captions_that_are_cut_off():
    assert "cut off; raise --max-length" in " ".join(look(GOOD, max_length=7).alarms())


def test_few_pictures_say_nothing():
    few = dict.fromkeys(list(REFERENCES)[:5], "a")
    found = health({name: ["a"] for name in few}, few, REFERENCES, 20)
    assert found.alarms() == [] and found.bad_ending == 1.0


def test_no_caption_stays_with_its_own_picture():
    moved = shuffled(GOOD)
    assert sorted(moved.values()) == sorted(GOOD.values())
    assert all(moved[name] != GOOD[name] for name in GOOD)


WELL = Health(
    pictures=FEWEST,
    empty=CUT_OFF,
    distinct=ALIKE,
    commonest=("a dog", 0.1),
    cider_d=0.02,
    shuffled=0.0,
    bad_ending=CUT_OFF,
    cut_off=CUT_OFF,
)


def test_at_its_limits_a_model_is_still_healthy():
    assert WELL.alarms() == []


def test_scores_are_said_times_a_hundred():
    [alarm] = replace(WELL, cider_d=0.01, shuffled=0.03).alarms()
    assert "the captions score CIDEr-D 1.0, and 3.0 when assigned to other pictures" in alarm


def test_captions_that_are_alike_because_most_are_empty_are_only_empty():
    assert len(replace(WELL, empty=0.5, distinct=0.0).alarms()) == 2
    [alarm] = replace(WELL, empty=0.51, distinct=0.0).alarms()
    assert "51% of the captions are empty" in alarm


def test_bad_endings_are_words_whatever_pieces_they_have():
    texts = {name: f"{text} with a" for name, text in GOOD.items()}
    pieces = {name: [f"▁{word}" for word in text.split()] for name, text in texts.items()}
    assert health(pieces, texts, REFERENCES, 20).bad_ending == 1.0
