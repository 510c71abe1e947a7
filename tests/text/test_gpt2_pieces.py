from pathlib import Path

import pytest

from captioner.config import ConfigError, build
from captioner.storage import DataError
from captioner.text.gpt2_pieces import as_text, gpt2_pieces
from captioner.text.vocabulary import SPECIALS, TextConfig, Vocabulary
from tests.models.gpt2 import keras_hub_of, pieces_of, small_gpt2

SIZE = 40


@pytest.fixture(scope="module")
def folder():
    return small_gpt2(SIZE)


@pytest.fixture(scope="module")
def vocabulary(folder):
    config = TextConfig(vocabulary="bpe", pieces=folder)
    return Vocabulary.fit([["a", "red", "dog"], ["a", "dog"]], config)


def test_bytes_become_text():
    assert as_text("Ġdog") == "▁dog"
    assert as_text("Ã©") == "é"
    assert as_text("ĠâĤ¬") == "▁€"
    assert as_text("Ċ") == "\n"
    assert as_text("Ã") is None  # half a letter
    assert as_text("âĸģ") is None  # the sign for a space itself


def test_all_pieces_in_their_order_but_for_the_end(vocabulary):
    pieces = pieces_of(SIZE)
    assert len(vocabulary) == len(SPECIALS) + SIZE - 1
    assert vocabulary.words[:4] == list(SPECIALS)
    for number, piece in enumerate(pieces[:-1]):
        expected = as_text(piece)
        assert vocabulary.words[number + 4] == (f"<{piece}>" if expected is None else expected)
    assert vocabulary.counts["▁dog"] == 2


@pytest.mark.parametrize("text", ["a red dog", "a dog's caf", "café", "red", "dodo reads", "a café ."])
def test_captions_are_split_as_gpt2_splits_them(vocabulary, folder, text):
    tokenizer = keras_hub_of().models.GPT2Tokenizer.from_preset(folder)
    theirs = [int(number) for number in tokenizer(f" {text}")]
    numbers = vocabulary.encode(text.split())
    assert [number - 4 for number in numbers[1:-1]] == theirs
    assert vocabulary.to_text(vocabulary.decode(numbers)) == text


def test_a_vocabulary_is_kept_in_json(vocabulary):
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again.digest == vocabulary.digest
    assert again.encode(["a", "dog"]) == vocabulary.encode(["a", "dog"])


def test_pieces_are_byte_pairs():
    with pytest.raises(ConfigError, match="pieces are byte pairs; set vocabulary to bpe, found words"):
        build(TextConfig, {"pieces": "gpt2_base_en"}, "text")


def test_what_is_no_gpt2(folder, tmp_path):
    with pytest.raises(ConfigError, match="KerasHub has no such preset; near it: gpt2_base_en"):
        gpt2_pieces("gpt2_bas_en", "<unk>")
    pieces = {"a": 0, "<|endoftext|>": 1, "Ġ": 2, "Ġa": 3}
    keras_hub_of().models.GPT2Tokenizer(pieces, ["Ġ a"]).save_to_preset(str(tmp_path))
    (tmp_path / "config.json").write_bytes((Path(folder) / "config.json").read_bytes())
    with pytest.raises(DataError, match=r"the last piece of its tokenizer is not <\|endoftext\|>"):
        gpt2_pieces(str(tmp_path), "<unk>")
