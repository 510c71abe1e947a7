import numpy as np
import pytest

from captioner.metrics.cider import CiderD
from captioner.text.cleaning import clean_caption
from captioner.text.vocabulary import END, START, TextConfig, Vocabulary
from captioner.training.reward import Reward

WORDS = ("<pad>", "<start>", "<end>", "<unk>", "a", "red", "ball", "on", "grass")
REFERENCES = {
    "one": [["a", "red", "ball"], ["a", "ball", "on", "grass"]],
    "two": [["grass", "on", "grass"], ["a", "grass"]],
}


@pytest.fixture
def vocabulary():
    return Vocabulary.from_json({"rules": "ptb", "max_words": 20, "words": list(WORDS), "counts": {}})


def test_the_reward_is_cider_d_with_the_end_as_a_word(vocabulary):
    ended, cut = [START, 4, 5, 6, END], [START, 4, 5, 6]
    found = Reward(REFERENCES).of(["one", "two"], vocabulary, [[ended, cut], [[START, 4, 8, END], [START, 4, 7]]])
    with_end = {name: [[*words, "<end>"] for words in texts] for name, texts in REFERENCES.items()}
    samples = [["a", "red", "ball", "<end>"], ["a", "red", "ball"], ["a", "grass", "<end>"], ["a", "on"]]
    expected = CiderD(with_end).scores(["one", "one", "two", "two"], samples)
    np.testing.assert_allclose(found, expected.reshape(2, 2))
    assert found[0, 0] > found[0, 1]


def test_words_of_a_script_without_spaces_are_rewarded():
    words = ["<pad>", "<start>", "<end>", "<unk>", "红", "球", "草地"]
    spaceless = Vocabulary.from_json({"rules": "ptb", "max_words": 20, "words": words, "counts": {}})
    references = {"one": [["红", "球"]], "two": [["草地"]]}
    found = Reward(references).of(["one", "two"], spaceless, [[[START, 4, 5, END]], [[START, 5, END]]])
    assert found[0, 0] > 1 > found[1, 0]


def test_pieces_in_a_script_without_spaces_are_rewarded_by_the_words_of_the_rules():
    texts = ["一只红色的球", "草地上的狗"]
    cleaned = [clean_caption(text, "ptb") for text in texts]
    pieces = Vocabulary.fit(cleaned, TextConfig(vocabulary="bpe", max_size=40))
    references = {name: [words] for name, words in zip(("one", "two"), cleaned, strict=True)}
    samples = [[pieces.encode(words)] for words in cleaned]
    assert (Reward(references).of(["one", "two"], pieces, samples) > 1).all()


def test_a_share_of_bleu_4_is_added(vocabulary):
    samples = [[[START, 4, 6, 7, 8, END], [START, 8, 8, 8, 8, END]]]
    plain, with_bleu = (Reward(REFERENCES, share).of(["one"], vocabulary, samples) for share in (0.0, 2.0))
    assert with_bleu[0, 0] - plain[0, 0] == pytest.approx(2.0, abs=1e-6)  # it is a reference
    assert with_bleu[0, 1] - plain[0, 1] == pytest.approx(0.0, abs=1e-3)


def test_a_caption_without_words_is_worth_what_its_end_is(vocabulary):
    found = Reward(REFERENCES).of(["one"], vocabulary, [[[START, END], [START, 4, 5, 6, END]]])
    assert 0 <= found[0, 0] < found[0, 1]


def test_every_picture_has_a_row_and_every_sample_a_column(vocabulary):
    samples = [[[START, 4, END], [START, 5, END], [START, 6, END]], [[START, 8, END], [START, 7, END], [START, 4, END]]]
    found = Reward(REFERENCES).of(["one", "two"], vocabulary, samples)
    assert found.shape == (2, 3)
    assert found[1, 0] == Reward(REFERENCES).of(["two"], vocabulary, [[[START, 8, END]]])[0, 0]
