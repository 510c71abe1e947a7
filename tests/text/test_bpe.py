import sys
from collections import Counter

import pytest

from captioner.config import ConfigError
from captioner.data.dataset import read_captions
from captioner.storage import DataError
from captioner.text.bpe import BytePairs, fit_byte_pairs, to_text
from captioner.text.cleaning import clean_caption
from captioner.text.vocabulary import END, START, UNK, TextConfig, Vocabulary
from tests.shared import FLICKR8K, needs_flickr8k

CAPTIONS = [caption.split() for caption in ["low lower lowest", "a new newer newest low", "low wide wider widest"]]


@pytest.fixture
def library():
    pytest.importorskip("tokenizers")


def fit(captions=CAPTIONS, **settings):
    return Vocabulary.fit(captions, TextConfig(vocabulary="bpe", **settings))


def test_the_commonest_pair_is_merged_first(library):
    pairs = fit_byte_pairs(Counter({"aab": 5, "ab": 3, "c": 1}), size=20, min_count=1, unknown="<unk>")
    assert set(pairs.pieces[:4]) == {"▁", "a", "b", "c"}
    assert pairs.merges[0] == ("a", "b")  # 8 times, more often than any other pair
    assert pairs.split("ab") == ("▁ab",) and pairs.split("bc") == ("▁", "b", "c")


def test_merges_are_applied_in_their_order(library):
    pairs = BytePairs(["▁", "a", "b", "ab", "▁a", "▁ab"], [("a", "b"), ("▁", "a"), ("▁", "ab")], "<unk>")
    assert pairs.split("ab") == ("▁ab",) and pairs.split("a") == ("▁a",)
    assert pairs.split("aab") == ("▁a", "ab")
    assert pairs.split("xya") == ("▁", "<unk>", "a") and pairs.split("<unk>") == ("<unk>",)


def test_pieces_make_the_text_again(library):
    vocabulary = fit(max_size=30)
    assert vocabulary.words[:4] == ["<pad>", "<start>", "<end>", "<unk>"] and len(vocabulary) <= 34
    for caption in [*CAPTIONS, ["lowest", "wide", "widow"]]:
        ids = vocabulary.encode(caption)
        assert ids[0] == START and ids[-1] == END
        assert vocabulary.to_text(vocabulary.decode(ids)) == " ".join(caption)
    assert len(vocabulary.encode(["low"])) == 3  # the commonest word is one piece
    assert vocabulary.encode(["q"])[1:-1].count(UNK) == 1


def test_counts_are_those_of_the_pieces(library):
    vocabulary = fit(max_size=30)
    seen = Counter(piece for caption in CAPTIONS for piece in vocabulary.decode(vocabulary.encode(caption)))
    assert {piece: count for piece, count in vocabulary.counts.items() if count} == seen


def test_fitting_again_gives_the_same_and_json_brings_it_back(library):
    vocabulary = fit(max_size=30)
    assert fit(max_size=30).digest == vocabulary.digest != fit(max_size=20).digest
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again.to_json() == vocabulary.to_json() and again.encode(["newest"]) == vocabulary.encode(["newest"])


def test_rare_letters_are_left_out(library):
    vocabulary = fit([*CAPTIONS * 2, ["low", "ø"]], min_count=2)
    assert "ø" not in vocabulary.words and vocabulary.encode(["ø"])[1:-1].count(UNK) == 1
    with pytest.raises(ConfigError, match=r"text\.max_size: 3 pieces are too few for \d+ letters"):
        fit(max_size=3)


def test_pieces_run_over_the_letters_of_scripts_without_spaces(library):
    captions = [clean_caption("一只狗在草地上奔跑", "lower"), clean_caption("一只猫在草地上", "lower")] * 3
    vocabulary = fit(captions, rules="lower", max_size=60)
    assert any(len(word) > 2 for word in vocabulary.words[4:])
    assert vocabulary.to_text(vocabulary.decode(vocabulary.encode(captions[0]))) == "一只狗在草地上奔跑"


def test_a_caption_cannot_spell_out_a_special_piece(library):
    vocabulary = fit([*CAPTIONS, ["<unk>", "<end>", "low"]] * 3)
    assert len(set(vocabulary.words)) == len(vocabulary.words)
    assert vocabulary.encode(["<unk>"]) == [START, UNK, END]
    assert END not in vocabulary.encode(["<end>"])[:-1]


def test_captions_without_words_are_refused(library):
    with pytest.raises(DataError, match="they hold no words"):
        fit([[]])


def test_long_captions_are_cut_to_pieces(library):
    assert len(fit(max_words=4, max_size=20).encode(["lowest"] * 9)) == 6


def test_without_the_library_the_extra_is_named_and_decoding_still_works(monkeypatch):
    vocabulary = Vocabulary(["<pad>", "<start>", "<end>", "<unk>", "▁", "a", "▁a"], "ptb", 40, {}, [("▁", "a")])
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert vocabulary.to_text(vocabulary.decode([START, 6, 5, 6, END])) == "aa a"
    with pytest.raises(ConfigError, match=r"needs the tokenizers library; pip install 'captioner\[bpe\]'"):
        vocabulary.encode(["a"])
    with pytest.raises(ConfigError, match="needs the tokenizers library"):
        fit()


@pytest.mark.parametrize("merges", ["ab", [["a"]], [["a", 5]], [5]])
def test_broken_merges_are_named(merges):
    content = Vocabulary(["<pad>", "<start>", "<end>", "<unk>", "a"], "ptb", 40, {}, []).to_json()
    with pytest.raises(DataError, match="'merges' is not a list of pairs"):
        Vocabulary.from_json({**content, "merges": merges})


def test_text_of_pieces():
    assert to_text(["▁a", "▁do", "g"]) == "a dog" and to_text([]) == "" and to_text(["og", "▁a"]) == "og a"


@pytest.mark.slow
@needs_flickr8k
def test_real_captions_come_back_from_their_pieces(library):
    captions = [
        clean_caption(text, "ptb")
        for texts in read_captions(FLICKR8K / "Flickr8k.token.txt").values()
        for text in texts
    ]
    vocabulary = fit(captions, max_size=3000, max_words=100)
    assert len(vocabulary) == 3004
    for caption in captions:
        assert vocabulary.to_text(vocabulary.decode(vocabulary.encode(caption))) == " ".join(caption)
