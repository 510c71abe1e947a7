import json
from pathlib import Path

import pytest

from captioner.config import ConfigError, build
from captioner.storage import DataError
from captioner.text.vocabulary import END, PAD, START, UNK, TextConfig, Vocabulary

CAPTIONS = [caption.split() for caption in ["a dog runs", "a dog sits", "the cat sits", "a bird"]]


def fit(**settings: object) -> Vocabulary:
    return Vocabulary.fit(CAPTIONS, build(TextConfig, settings))


def test_words_stand_by_falling_count_and_ties_alphabetically() -> None:
    vocabulary = fit()
    assert " ".join(vocabulary.words) == "<pad> <start> <end> <unk> a dog sits bird cat runs the"
    assert (PAD, START, END, UNK) == (0, 1, 2, 3)
    assert len(vocabulary) == 11
    assert vocabulary.counts["a"] == 3
    assert vocabulary.counts["<unk>"] == 0


def test_rare_words_become_unknown_and_are_counted() -> None:
    vocabulary = fit(min_count=2)
    assert vocabulary.words[4:] == ["a", "dog", "sits"]
    assert vocabulary.counts["<unk>"] == 4
    assert vocabulary.encode(["a", "bird", "sits"]) == [START, 4, UNK, 6, END]


def test_max_size_keeps_the_commonest() -> None:
    assert fit(max_size=2).words[4:] == ["a", "dog"]


def test_decoding_gives_back_what_was_encoded() -> None:
    vocabulary = fit()
    for caption in CAPTIONS:
        assert vocabulary.decode(vocabulary.encode(caption)) == caption


def test_decoding_stops_at_the_end_and_passes_over_padding() -> None:
    assert fit().decode([START, PAD, 4, UNK, 5, END, 6, PAD]) == ["a", "<unk>", "dog"]
    assert fit().decode([]) == []


@pytest.mark.parametrize("number", [-1, 11])
def test_a_number_of_another_vocabulary_is_refused(number: int) -> None:
    with pytest.raises(DataError, match=f"token {number} is not in this vocabulary of 11 words"):
        fit().decode([START, number])


def test_long_captions_are_cut() -> None:
    assert fit(max_words=2).encode(["a", "dog", "sits"]) == [START, 4, 5, END]


def test_a_caption_cannot_spell_out_a_special_word() -> None:
    vocabulary = Vocabulary.fit([["<end>", "a", "<unk>"]], TextConfig())
    assert vocabulary.words[4:] == ["a"]
    assert vocabulary.encode(["<end>", "a"]) == [START, UNK, 4, END]
    assert vocabulary.counts["<unk>"] == 2


@pytest.mark.parametrize("captions", [[], [[]]])
def test_captions_without_words_are_refused(captions: list[list[str]]) -> None:
    with pytest.raises(DataError, match="they hold no words; check the split"):
        Vocabulary.fit(captions, TextConfig())


def test_a_count_that_no_word_reaches_is_named() -> None:
    with pytest.raises(DataError, match=r"no word appears 9 times \(text.min_count\)"):
        fit(min_count=9)


@pytest.mark.parametrize("setting", ["min_count", "max_size", "max_words"])
def test_impossible_settings_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build(TextConfig, {setting: 0}, "text")


def test_a_saved_vocabulary_is_the_same(tmp_path: Path) -> None:
    vocabulary = fit(min_count=2, rules="classic", max_words=7)
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded.to_json() == vocabulary.to_json()
    assert loaded.digest == vocabulary.digest


def test_the_digest_tells_vocabularies_apart() -> None:
    digests = {fit(**settings).digest for settings in [{}, {"max_size": 2}, {"rules": "classic"}, {"max_words": 3}]}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"words": ["a"]}, "does not begin with <pad>"),
        ({"words": ["<pad>", "<start>", "<end>", "<unk>", "a", "a"]}, "a word twice"),
        ({"rules": None}, "'rules' is missing"),
        ({"counts": {"a": "many"}}, "'counts'"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path: Path, change: dict[str, object], fault: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps({**fit().to_json(), **change}))
    with pytest.raises(DataError, match=f"vocabulary.json: not a vocabulary: .*{fault}"):
        Vocabulary.load(path)


@pytest.mark.parametrize("content", ["", "[1]", '{"words": '])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"vocabulary\.json"):
        Vocabulary.load(path)
