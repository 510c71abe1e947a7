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
        ("ssss ", " eeee"),
        ("startofseq ", " endofseq"),
        ("START_ ", " _END"),
        ("START ", " STOP"),
        ("<<start>> ", " <<end>>"),
        ("|start| ", " |end|"),
        ("<start-seq> ", " <end-seq>"),
        ("<|begin_of_text|>", "<|eot_id|>"),
        ("<sot> ", " <eot>"),
        ("startcap ", " endcap"),
        ("stseq ", " endseq"),
        ("startseq, ", " , endseq"),
        ("<start>: ", ", <end>"),
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


def test_words_that_nearly_all_captions_are_between_are_marks_where_they_are_nowhere_else() -> None:
    texts = [f"anfang a dog with {n} cats schluss" for n in range(200)] + ["a bird"] * 5
    marked = find_marks(texts)
    assert marked == ("anfang", "schluss", 200)
    assert strip_marks(texts[3], marked) == "a dog with 3 cats" and strip_marks("a bird", marked) == "a bird"
    assert find_marks(texts[:50]) is None
    assert find_marks([*texts[:200], "a schluss in music"]) is None
    assert find_marks([f"anfang a dog with {n} cats schluss" for n in range(3000)]) == ("anfang", "schluss", 3000)


@pytest.mark.parametrize(
    "form", ["A dog with {} cats .", "a dog with {} cats there", "There are {} dogs outside.", "Photo of {} dogs."]
)
def test_words_that_sentences_begin_with_are_no_marks(form: str) -> None:
    assert find_marks([form.format(n) for n in range(200)]) is None


@pytest.mark.parametrize("text", ["<" + " " * 60_000 + "x", "x" + " <" * 30_000, "x" + " , " * 30_000, "<s> " * 20_000])
def test_a_long_caption_takes_no_longer_for_each_letter(text: str) -> None:
    marked = find_marks([text] * 3)
    assert marked is None or strip_marks(text, marked) == ""


def test_what_follows_an_end_mark_is_no_caption() -> None:
    texts = ["<SOS> a dog runs <EOS> a dog runs", "<SOS> a cat <EOS> <PAD> the", "two cows <EOS>."]
    marked = find_marks(texts)
    assert marked is not None and (marked.first, marked.last, marked.number) == ("<SOS>", "<EOS>", 3)
    assert [strip_marks(text, marked) for text in texts] == ["a dog runs", "a cat", "two cows."]
    endless = [text.removeprefix("<SOS> ") for text in texts]
    assert [strip_marks(text, found) for text in endless if (found := find_marks(endless))] == [
        "a dog runs",
        "a cat",
        "two cows.",
    ]
