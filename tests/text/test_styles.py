import doctest

import pytest

from captioner.storage import DataError
from captioner.text import styles
from captioner.text.styles import neutral_words, neutralized, styled


def test_examples_in_the_docstrings():
    assert doctest.testmod(styles).failed == 0 < doctest.testmod(styles).attempted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a dog runs", "A dog runs."),
        ("  two dogs , running  ", "Two dogs, running."),
        ("is i there ?", "Is I there?"),
        ("élan vital", "Élan vital."),
        ("", ""),
        ("A dog.", "A dog."),
    ],
)
def test_a_sentence(text, sentence):
    assert styled(text, "sentence") == sentence and styled(text) == text


@pytest.mark.parametrize(
    "opening",
    ["an image of", "a picture of", "a photo of", "the photograph of", "this is a picture of", "a close up of",
     "a black and white photo of", "photo of", "an image showing"],
)  # fmt: skip
def test_alternative_texts_say_what_is_there_at_once(opening):
    assert styled(f"{opening} two dogs", "alt") == "Two dogs."


@pytest.mark.parametrize("text", ["a dog takes a picture of", "a photographer", "an imaginary friend"])
def test_what_only_looks_like_an_opening_stays(text):
    assert styled(text, "alt") == text[0].upper() + text[1:] + "."


def test_alternative_texts_are_short_and_end_with_a_word():
    text = " ".join(["a dog sits on"] * 20)
    short = styled(text, "alt")
    assert len(short) <= 125 and short.endswith("sits.") and text.startswith(short[1:-1], 1)
    assert len(styled("x" * 300, "alt")) == 125
    exact = "a " + "b" * 122
    assert styled(exact, "alt") == "A " + "b" * 122 + "." and len(styled(exact, "alt")) == 125


@pytest.mark.parametrize(
    ("text", "neutral"),
    [
        ("a man in a boat", "a person in a boat"),
        ("Boys and MEN play", "Children and PEOPLE play"),
        ("an actress waves", "an actor waves"),
        ("a woman 's dog", "a person 's dog"),
        ("the man's dog", "the person's dog"),
        ("a man and a woman dance", "two people dance"),
        ("a boy and another girl", "two children"),
        ("she is here and he was there", "they are here and they were there"),
        ("a woman with her dog", "a person with her dog"),  # "her" may be "them" or "their"
        ("a mannequin in Manchester", "a mannequin in Manchester"),
        ("", ""),
    ],
)
def test_neutral_words(text, neutral):
    assert neutralized(text) == neutral


def test_a_list_of_ones_own(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# mine\nlifeguard = attendant\nman = human being\n\nboy = boy\nnun = abbey dweller\n")
    words = neutral_words(path)
    assert neutralized("a man, a boy, a nun and a Lifeguard", words) == (
        "a human being, a boy, an abbey dweller and an Attendant"
    )
    assert neutralized("a girl", words) == "a child"
    path.write_text("man\n")
    with pytest.raises(DataError, match="line 1: expected `word = replacement`, found 'man'"):
        neutral_words(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a man 's dog does n't run", "A man's dog doesn't run."),
        ("the dogs ' ball", "The dogs ' ball."),
        ("it 's red", "It's red."),
    ],
)
def test_what_ptb_splits_is_joined(text, sentence):
    assert styled(text, "sentence") == sentence
