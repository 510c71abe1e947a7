import numpy as np
import pytest

from captioner.storage import DataError
from captioner.text.word_vectors import read_word_vectors

WORDS = ["<pad>", "dog", "naïve", "cat"]
VECTORS = {"dog": [0.5, -1.25, 3.0], "the": [9.0, 9.0, 9.0], "naïve": [1e-3, 2.0, -7.5]}


def text(header):
    lines = [f"{len(VECTORS)} 3\n"] if header else []
    return "".join([*lines, *(f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in VECTORS.items())]).encode()


def binary(newline):
    parts = [word.encode() + b" " + np.array(numbers, "<f4").tobytes() + newline for word, numbers in VECTORS.items()]
    return f"{len(VECTORS)} 3\n".encode() + b"".join(parts)


@pytest.mark.parametrize(
    "content",
    [text(header=False), text(header=True), binary(b""), binary(b"\n")],
    ids=["glove", "word2vec-text", "word2vec-binary", "word2vec-binary-newlines"],
)
def test_reads_the_three_forms_alike(tmp_path, content):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    vectors, found = read_word_vectors(path, WORDS, 3)
    assert found.tolist() == [False, True, True, False]
    np.testing.assert_array_equal(vectors[1], np.float32(VECTORS["dog"]))
    np.testing.assert_array_equal(vectors[2], np.float32(VECTORS["naïve"]))
    assert not vectors[[0, 3]].any()


def test_a_word_may_hold_spaces(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("dog 1 2 3\n. . . 4 5 6\ncat 7 8 9\n")
    vectors, found = read_word_vectors(path, ["cat", ". . ."], 3)
    assert found.all()
    assert vectors.tolist() == [[7, 8, 9], [4, 5, 6]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text(header=False).replace(b" 3.0", b""), "vectors of 2 numbers, model.embedding_size is 3; set it to 2"),
        (b"2 50\ndog 1 2 3\n", "vectors of 50 numbers, model.embedding_size is 3"),
        (b"\x89PNG\r\n\x1a\n", "not a GloVe or word2vec file"),
        (b"", "not a GloVe or word2vec file"),
        (b"horse 1 2 3\n", "holds none of the vocabulary's 4 words"),
        (b"horse 1 2 3\ndog 1 2\n", "line 2 has 2 numbers instead of 3"),
        (b"horse 1 2 3\ndog 1 2 x\n", "line 2 is not a word and its numbers"),
        (b"horse 1 2 3\ndog 1 2 nan\n", "a number that is not finite"),
        (binary(b"")[:-4], "ends after 2 of 3 words"),
    ],
)
def test_broken_files_are_named(tmp_path, content, message):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_word_vectors(path, WORDS, 3)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: cannot be read .*model.embeddings"):
        read_word_vectors(tmp_path / "nowhere", WORDS, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"1" * 5000 + b" 3\n",
        b"3 " + b"1" * 5000 + b"\n",
        b"1" * 2**22,
        b"5 3\n" + b"a" * 2**20,
        "² ³\n".encode(),
        b"1000000000 3\n" + b"a \0\0",
    ],
)
def test_hostile_headers_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "vectors.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"vectors\.bin: ") as refusal:
        read_word_vectors(path, ["a"], 3)
    assert "\n" not in str(refusal.value)
