import pytest

from captioner.config import ConfigError
from captioner.data.dataset import read_captions
from captioner.storage import read_text
from captioner.text.cleaning import RULES, clean_caption, clean_captions, join_words, words_of
from captioner.text.ptb import tokenize
from tests.shared import FLICKR8K, needs_flickr8k


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
    with pytest.raises(ConfigError, match=r"'tutorial' is not known .*ptb, classic, lower"):
        clean_caption("a dog", "tutorial")


@pytest.mark.slow
@needs_flickr8k
def test_classic_rules_give_the_tutorials_numbers_on_flickr8k() -> None:
    references = read_captions(FLICKR8K / "Flickr8k.token.txt")
    train = [name.removesuffix(".jpg") for name in read_text(FLICKR8K / "Flickr_8k.trainImages.txt").split()]
    captions = [clean_caption(text, "classic") for image_id in train for text in references[image_id]]
    assert len({word for caption in captions for word in caption}) == 7576
    assert max(map(len, captions)) == 32


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ein Mädchen läuft über die Straße.", "ein mädchen läuft über die straße"),
        ("एक कुत्ता घास पर दौड़ रहा है।", "एक कुत्ता घास पर दौड़ रहा है"),
        ("一只狗在草地上，2只iPhone。", "一 只 狗 在 草 地 上 2 只 iphone"),
        ("ボールで遊ぶ犬", "ボ ー ル で 遊 ぶ 犬"),
        ("สุนัขวิ่ง", "สุ นั ข วิ่ ง"),
        ("강아지가 달린다!", "강아지가 달린다"),
        ("Собака бежит — быстро", "собака бежит быстро"),
        ("قطة تجلس، على", "قطة تجلس على"),
        ("می‌خواهم بروم", "می\u200cخواهم بروم"),
        ("Cafe\u0301 so\u00adft \u200ba\u202e", "café soft a"),
        ("A dog's T-shirt isn’t l’homme's, 3.5 or 1,000!", "a dog's t-shirt isn't l'homme's 3.5 or 1,000"),
        ("'quoted' -- e.g. a- -b 5. x.5 «ja» <b> & 🐶 ½", "quoted e g a b 5 x 5 ja b ½"),
        ("snake_case a@b", "snake case a b"),
    ],
)
def test_lower_takes_words_of_any_script(text: str, words: str) -> None:
    assert clean_caption(text, "lower") == words.split(" ")
    assert clean_caption(" ".join(words.split(" ")), "lower") == words.split(" ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("一 只 狗 在 草 地 上 2 只 iphone", "一只狗在草地上 2 只 iphone"),
        ("สุ นั ข วิ่ ง", "สุนัขวิ่ง"),
        ("강아지가 달린다", "강아지가 달린다"),
        ("a dog's t-shirt", "a dog's t-shirt"),
    ],
)
def test_words_become_text_as_the_script_has_it(words: str, text: str) -> None:
    assert join_words(words.split()) == text
    assert clean_caption(text, "lower") == words.split()


def test_ptb_takes_letters_of_scripts_without_spaces_for_words() -> None:
    assert clean_caption("一只狗, a dog 跑。", "ptb") == ["一", "只", "狗", "a", "dog", "跑", "。"]
    caption = "A café's 'menu', naïve — кот 5°C"
    assert clean_caption(caption, "ptb") == tokenize(caption)


def test_captions_left_empty_and_pictures_without_any_are_dropped() -> None:
    captions = {"a": ("A dog", " . "), "b": (",",), "c": ()}
    assert clean_captions(captions, "ptb") == {"a": [["a", "dog"]]}
    with pytest.raises(ConfigError, match="'tutorial' is not known"):
        clean_captions(captions, "tutorial")


@pytest.mark.slow
@needs_flickr8k
def test_lower_keeps_every_letter_of_real_captions() -> None:
    for captions in read_captions(FLICKR8K / "Flickr8k.token.txt").values():
        for caption in captions:
            kept = [sign for sign in "".join(clean_caption(caption, "lower")) if sign.isalnum()]
            assert kept == [sign for sign in caption.lower() if sign.isalnum()]


@pytest.mark.parametrize(
    ("text", "words"), [("a dog's  ball", "a dog's ball"), ("一只狗", "一 只 狗"), ("", ""), ("un chien", "un chien")]
)
def test_words_of_a_captions_text(text: str, words: str) -> None:
    assert words_of(text, "ptb") == words.split()
