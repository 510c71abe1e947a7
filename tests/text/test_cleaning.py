import pytest

from captioner.config import ConfigError
from captioner.data.readers import read_captions
from captioner.storage import read_text
from captioner.text.cleaning import RULES, clean_caption
from tests.data.shared import FLICKR8K, needs_flickr8k


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A child in a pink dress .", "child in pink dress"),
        ("A dog's T-shirt, size 2!", "dogs tshirt size"),
        ("The 2nd b52 is x-ray'd", "the is xrayd"),
        ("a , b . 9", ""),
    ],
)
def test_classic_rules(text: str, words: str) -> None:
    assert clean_caption(text, "classic") == words.split()


def test_ptb_rules_keep_one_letter_words_and_hyphens() -> None:
    assert clean_caption("A man doesn't ride a two-toned x-ray .", "ptb") == [
        "a",
        "man",
        "does",
        "n't",
        "ride",
        "a",
        "two-toned",
        "x-ray",
    ]


@pytest.mark.parametrize("rules", RULES)
def test_a_caption_may_be_left_empty(rules: str) -> None:
    assert clean_caption(" . , ! \t", rules) == []


def test_unknown_rules_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'tutorial' is not known .*ptb, classic"):
        clean_caption("a dog", "tutorial")


@pytest.mark.slow
@needs_flickr8k
def test_classic_rules_give_the_tutorials_numbers_on_flickr8k() -> None:
    references = read_captions(FLICKR8K / "Flickr8k.token.txt")
    train = [name.removesuffix(".jpg") for name in read_text(FLICKR8K / "Flickr_8k.trainImages.txt").split()]
    captions = [clean_caption(text, "classic") for image_id in train for text in references[image_id]]
    assert len({word for caption in captions for word in caption}) == 7576
    assert max(map(len, captions)) == 32
