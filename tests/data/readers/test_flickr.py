from pathlib import Path

import pytest

from captioner.data.readers.flickr import read_descriptions, read_tokens
from captioner.storage import DataError, read_text
from tests.shared import FLICKR8K, needs_flickr8k


def write(folder: Path, text: str) -> Path:
    path = folder / "captions.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_token_lines_are_grouped_by_picture(tmp_path: Path) -> None:
    path = write(tmp_path, "b.jpg#0\tA dog .\nb.jpg#1\tThe dog runs\n\na.jpg#0\tA cat\n")
    assert read_tokens(path).references == {"b": ("A dog .", "The dog runs"), "a": ("A cat",)}


def test_an_id_that_only_looks_like_another_stays_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "x.jpg.1#0\tA dog\nx.jpg#0\tA cat\n")
    assert read_tokens(path).references == {"x.jpg.1": ("A dog",), "x": ("A cat",)}


def test_windows_line_ends_byte_order_marks_and_doubled_lines_are_fine(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffa.jpg#0\tA dog\r\na.jpg#0\tA dog\r\n")
    assert read_tokens(path).references == {"a": ("A dog", "A dog")}


def test_a_unicode_line_separator_is_part_of_the_caption(tmp_path: Path) -> None:
    assert read_tokens(write(tmp_path, "a.jpg#0\tA\u2028dog\x0bruns\n")).references == {"a": ("A\u2028dog\x0bruns",)}


@pytest.mark.parametrize("line", ["b.jpg A dog", "b.jpg#0 A dog", "b.jpg#0\t ", "b.jpg\tA dog", "#0\tA dog"])
def test_a_malformed_token_line_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, f"a.jpg#0\tA cat\n{line}\n")
    with pytest.raises(DataError, match=r"captions\.txt: line 2 is not"):
        read_tokens(path)


def test_descriptions_are_an_id_and_words(tmp_path: Path) -> None:
    path = write(tmp_path, "a dog runs\na the dog\nb.jpg cat\n")
    assert read_descriptions(path).references == {"a": ("dog runs", "the dog"), "b": ("cat",)}


def test_an_id_without_words_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2 is not `image_id caption`"):
        read_descriptions(write(tmp_path, "a dog\nb \n"))


@pytest.mark.slow
@needs_flickr8k
def test_the_published_token_file_is_read_whole() -> None:
    references = read_tokens(FLICKR8K / "Flickr8k.token.txt").references
    count = len(read_text(FLICKR8K / "Flickr8k.token.txt").splitlines())
    assert sum(map(len, references.values())) == count
    assert references["1000268201_693b08cb0e"][1] == "A girl going into a wooden building ."
    assert "2258277193_586949ec62.jpg.1" in references


def test_lists_of_words_are_captions_in_lines_as_in_tables(tmp_path: Path) -> None:
    tokens = read_tokens(write(tmp_path, "a.jpg#0\t['a', 'dog']\na.jpg#1\t['two', 'dogs']\n"))
    assert tokens.references == {"a": ("a dog", "two dogs")}
    assert read_descriptions(write(tmp_path, "a ['a' 'dog']\nb ['b', 'c']\n")).references == {
        "a": ("a dog",),
        "b": ("b c",),
    }
    with pytest.raises(DataError, match="line 1 has a list of numbers"):
        read_descriptions(write(tmp_path, "a [[1, 2]]\n"))
