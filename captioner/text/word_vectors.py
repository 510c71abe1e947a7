"""Reads pretrained word vectors: GloVe's text files, word2vec's text and binary files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from captioner.storage import DataError

LONGEST_LINE, LONGEST_WORD, LONGEST_COUNT = 2**20, 10_000, 12  # bytes


class WordVectors(NamedTuple):
    """The vectors of some words.

    Attributes:
        vectors: (words, size) float32, zeros where the file has none.
        found: (words,) bool.
    """

    vectors: np.ndarray
    found: np.ndarray


def read_word_vectors(path: str | Path, words: Sequence[str], size: int) -> WordVectors:
    """Read the vectors of `words` from a file; its format is detected from its content.

    GloVe's text files have a word and its numbers on each line. word2vec's files begin with a line with the numbers of
    words and of values per word, and continue as text, or in binary: a word, a space, its values as little-endian
    float32.

    Args:
        path: the file.
        words: the words to read.
        size: values per word.

    Raises:
        DataError: the file is missing, has another format or vectors of another size, or has none of the words.
    """
    wanted = {word: row for row, word in enumerate(words)}
    result = WordVectors(np.zeros((len(words), size), "float32"), np.zeros(len(words), bool))
    try:
        with Path(path).open("rb") as file:
            for word, vector in _entries(file, path, size):
                row = wanted.get(word)
                if row is not None and not result.found[row]:
                    result.vectors[row] = vector() if callable(vector) else vector
                    result.found[row] = True
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); correct model.embeddings") from None
    if not result.found.any():
        raise DataError(f"{path}: holds none of the vocabulary's {len(words)} words; name a file of word vectors")
    if not np.isfinite(result.vectors).all():
        raise DataError(f"{path}: holds a number that is not finite; name another file")
    return result


class _Line:
    """A line's numbers, parsed only if the word is needed."""

    def __init__(self, numbers: list[bytes], path: str | Path, line: int) -> None:
        self.numbers, self.path, self.line = numbers, path, line

    def __call__(self) -> np.ndarray:
        try:
            return np.array([float(number) for number in self.numbers], "float32")
        except ValueError:
            raise DataError(f"{self.path}: line {self.line} is not a word and its numbers") from None


def _entries(file: BinaryIO, path: str | Path, size: int) -> Iterator[tuple[str, _Line | np.ndarray]]:
    """Yield each word and its vector."""
    first = file.readline(LONGEST_LINE)
    header = first.split()
    if len(header) == 2 and all(part.isdigit() and len(part) <= LONGEST_COUNT for part in header):
        count, found = map(int, header)
        _require_size(path, found, size)
        begin = file.tell()
        if _is_text(file.readline(LONGEST_LINE), size):
            file.seek(begin)
            yield from _text_entries(file, path, size, line=1)
        else:
            file.seek(begin)
            yield from _binary_entries(file, path, size, count)
        return
    if not _is_text(first, len(header) - 1):
        raise DataError(f"{path}: not a GloVe or word2vec file: line 1 is not a word and its numbers")
    _require_size(path, len(header) - 1, size)
    file.seek(0)
    yield from _text_entries(file, path, size, line=0)


def _require_size(path: str | Path, found: int, size: int) -> None:
    if found != size:
        raise DataError(
            f"{path}: has vectors of {found} numbers, model.embedding_size is {size}; set it to {found}, or name "
            "another file"
        )


def _is_text(line: bytes, size: int) -> bool:
    """Return whether a line is a word and `size` numbers."""
    parts = line.split()
    try:
        return size > 0 and len(parts) > size and all(np.isfinite(float(part)) for part in parts[-size:])
    except ValueError:
        return False


def _text_entries(file: BinaryIO, path: str | Path, size: int, line: int) -> Iterator[tuple[str, _Line]]:
    for number, content in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=line + 1):
        parts = content.rstrip().rsplit(b" ", size)  # from the right: a few of GloVe's words contain spaces
        if len(parts) != size + 1:
            raise DataError(f"{path}: line {number} has {len(parts) - 1} numbers instead of {size}")
        yield parts[0].decode("utf-8", "replace"), _Line(parts[1:], path, number)


def _binary_entries(file: BinaryIO, path: str | Path, size: int, count: int) -> Iterator[tuple[str, np.ndarray]]:
    for index in range(count):
        word = bytearray()
        while (byte := file.read(1)) not in (b" ", b""):
            word += byte
            if len(word) > LONGEST_WORD:
                raise DataError(f"{path}: word {index + 1} has no end; download the file again")
        data = file.read(4 * size)
        if len(data) < 4 * size:
            raise DataError(f"{path}: ends after {index} of {count} words; download it again")
        yield word.lstrip(b"\n").decode("utf-8", "replace"), np.frombuffer(data, "<f4")
