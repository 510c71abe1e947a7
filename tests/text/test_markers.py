import pytest

from captioner.text.markers import find_marks, strip_marks

PLAIN = ["a dog runs", "two cats sleep on a sofa"]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("startseq ", " endseq"),
        ("<start> ", " <end>"),
        ("<s>", "</s><pad><pad>"),
        ("<bos> ", " <eos>"),
        ("[CLS] ", " [SEP]"),
        ("<SOS> ", " <EOS> <PAD> <PAD>"),
        ("#START# ", " #END#"),
        ("<|endoftext|>", "<|endoftext|>"),
        ("<|startoftext|>", "<|endoftext|>"),
        ("BOS ", " EOS"),
        ("start ", " end"),
        ("START ", " END"),
        ("<START> ", " <END>"),
        ("[START] ", " [END]"),
        ("<start_of_text> ", " <end_of_text>"),
        ("start_token ", " end_token"),
        ("xxbos ", " xxeos"),
        ("__start__ ", " __end__"),
        ("", " </s>"),
        ("<start> ", ""),
        ("", " [PAD] [PAD]"),
    ],
)
def test_marks_in_many_spellings_are_taken_off(first: str, last: str) -> None:
    texts = [f"{first}{text}{last}" for text in PLAIN]
    marked = find_marks(texts)
    assert marked is not None and marked.number == len(texts)
    assert [strip_marks(text, marked) for text in texts] == PLAIN


def test_marks_go_where_most_captions_have_them() -> None:
    texts = ["<start> a dog runs <end>", "<start> two cats", "a bird <end> .", "a horse"]
    assert find_marks([*texts, "a cow"]) is None
    marked = find_marks(texts[:3])
    assert marked is not None
    assert [strip_marks(text, marked) for text in texts] == ["a dog runs", "two cats", "a bird .", "a horse"]


@pytest.mark.parametrize(
    "texts",
    [
        PLAIN,
        ["start of a race"],
        ["start of a race", "the end"],
        ["a sign says [START]", "a dog", "a cat"],
        ["a man at the end", "a road without end", "the dead end"],
        ["s a", "a s"],
        [""],
        [],
    ],
)
def test_words_stay(texts: list[str]) -> None:
    assert find_marks(texts) is None


def test_a_large_file_is_sampled_first() -> None:
    assert find_marks(["a dog"] * 3000) is None
    marked = find_marks(["startseq a dog endseq"] * 3000)
    assert marked is not None and marked.number == 3000
