"""Byte-pair pieces of words: the most frequent pair of neighbouring pieces is merged repeatedly.

Sennrich, Haddow and Birch 2016, Neural Machine Translation of Rare Words with Subword Units, section 3.2. The pieces
are made of characters, and a piece that begins a word begins with `▁`, so that pieces in a row give back the text. The
`tokenizers` library fits and splits (the extra `bpe`); loading fitted pieces and joining them to text do not need it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from captioner.config import ConfigError

BEGINS = "▁"
DEFAULT_SIZE = 8000  # pieces, if text.max_size is not set

Merge = tuple[str, str]


class BytePairs:
    """Splits words into pieces.

    Attributes:
        pieces: every piece, letters first.
        merges: pairs of pieces to merge, in the order in which they are tried.
    """

    def __init__(self, pieces: Sequence[str], merges: Sequence[Merge], unknown: str) -> None:
        self.pieces, self.merges, self._unknown = tuple(pieces), tuple(merges), unknown
        self._model: Any = None
        self._known: dict[str, tuple[str, ...]] = {}

    def split(self, word: str) -> tuple[str, ...]:
        """Return the pieces of a word; unseen letters become the unknown piece.

        Raises:
            ConfigError: the `tokenizers` library is not installed.
        """
        if word == self._unknown:
            return (word,)
        found = self._known.get(word)
        if found is None:
            if self._model is None:
                numbers = {piece: number for number, piece in enumerate((self._unknown, *self.pieces))}
                models = _tokenizers().models
                self._model = models.BPE(numbers, list(self.merges), unk_token=self._unknown, fuse_unk=True)
            found = self._known[word] = tuple(token.value for token in self._model.tokenize(mark(word)))
        return found


def fit_byte_pairs(words: Counter[str], size: int | None, min_count: int, unknown: str) -> BytePairs:
    """Find the pieces of counted words.

    Args:
        words: how often each word appears.
        size: the largest number of pieces, including letters; None for DEFAULT_SIZE.
        min_count: letters and pairs that appear less often are left out.
        unknown: the piece for letters that were left out.

    Raises:
        ConfigError: the `tokenizers` library is not installed, or `size` is too small for the letters.
    """
    library = _tokenizers()
    size = DEFAULT_SIZE if size is None else size
    letters: Counter[str] = Counter()
    for word, count in words.items():
        for letter in mark(word):
            letters[letter] += count
    common = [letter for letter, count in letters.items() if count >= min_count]
    if len(common) > size:
        raise ConfigError(f"text.max_size: {size} pieces are too few for {len(common)} letters; raise it")
    tokenizer = library.Tokenizer(library.models.BPE())
    # The trainer counts words itself, so each word is passed as often as it appears.
    trainer = library.trainers.BpeTrainer(
        vocab_size=size, min_frequency=max(min_count, 2), limit_alphabet=len(common), show_progress=False
    )
    tokenizer.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(_repeated(words), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    merges = [(left, right) for left, right in model["merges"]]
    return BytePairs(pieces, merges, unknown)


def mark(word: str) -> str:
    """Return a word with the prefix that marks the first piece of a word."""
    return BEGINS + word.replace(BEGINS, "_")


def to_text(pieces: Iterable[str]) -> str:
    """Join pieces to text."""
    return "".join(pieces).replace(BEGINS, " ").strip()


def _repeated(words: Counter[str]) -> Iterable[str]:
    for word in sorted(words):
        line, count = mark(word), words[word]
        while count > 0:
            part = min(count, 1000)  # few calls into the library, and no line of megabytes
            yield " ".join([line] * part)
            count -= part


def _tokenizers() -> Any:
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError:
        raise ConfigError("text.vocabulary: bpe needs the tokenizers library; pip install 'captioner[bpe]'") from None
    return tokenizers
