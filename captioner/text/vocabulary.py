"""Words, or pieces of words, and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from captioner.memory import collector_paused
from captioner.storage import DataError, digest_json, read_json, write_json
from captioner.text.bpe import BytePairs, fit_byte_pairs, to_text
from captioner.text.cleaning import join_words
from captioner.text.gpt2_pieces import gpt2_pieces

PAD, START, END, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


@dataclass(frozen=True)
class TextConfig:
    """How captions become training text (the `text` section of a recipe).

    Attributes:
        rules: the cleaning rules, one of `captioner.text.cleaning.RULES`.
        vocabulary: whole words, or byte-pair pieces of them (the extra `bpe`).
        min_count: words that appear less often in the training captions become <unk>. With `bpe`, rarer letters become
            <unk>, and rarer pairs are not merged.
        max_size: the largest number of words, without the four special ones; the most frequent are kept. None keeps
            all. With `bpe`, the number of pieces; None for 8,000.
        max_words: longer training captions are cut to this many words or pieces.
        pieces: with `bpe`, a preset of KerasHub's GPT-2, or its folder. All its pieces are used, instead of pieces made
            from the captions; the architecture `prefix` requires this.
    """

    rules: Literal["ptb", "classic", "lower"] = "ptb"
    vocabulary: Literal["words", "bpe"] = "words"
    min_count: int = 1
    max_size: int | None = None
    max_words: int = 40
    pieces: str | None = None

    def __post_init__(self) -> None:
        if self.pieces is not None and self.vocabulary != "bpe":
            raise ValueError(f"pieces are byte pairs; set vocabulary to bpe, found {self.vocabulary}")
        if self.min_count < 1:
            raise ValueError(f"min_count is {self.min_count}; it counts appearances and must be 1 or more")
        if self.max_size is not None and self.max_size < 1:
            raise ValueError(f"max_size is {self.max_size}; it must be 1 or more, or null for all words")
        if self.max_words < 1:
            raise ValueError(f"max_words is {self.max_words}; a caption needs 1 or more")


class Vocabulary:
    """The words of a model: four special ones, then words by descending count, ties in alphabetical order.

    With `merges` the "words" are byte-pair pieces: letters, then merged pieces in the order of the merges.

    Attributes:
        words: every word by its number, including the special ones.
        rules: the cleaning rules that made the words; captions cleaned with other rules do not fit.
        max_words: `encode` cuts captions to this many words.
        counts: appearances in the training captions by word; `<unk>` counts the tokens whose words were left out.
        merges: the pairs of pieces to merge, in order; None for whole words.

    >>> vocabulary = Vocabulary.fit([["a", "dog", "runs"], ["a", "cat"]], TextConfig(min_count=1))
    >>> vocabulary.words
    ['<pad>', '<start>', '<end>', '<unk>', 'a', 'cat', 'dog', 'runs']
    >>> vocabulary.encode(["a", "dog", "sleeps"])
    [1, 4, 6, 3, 2]
    >>> vocabulary.decode([1, 4, 6, 2])
    ['a', 'dog']
    """

    def __init__(
        self,
        words: Sequence[str],
        rules: str,
        max_words: int,
        counts: Mapping[str, int],
        merges: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        self.words = list(words)
        self.rules = rules
        self.max_words = max_words
        self.counts = dict(counts)
        self.merges = None if merges is None else tuple((left, right) for left, right in merges)
        # a caption that spells out a special word must not take its number
        self._ids = {word: number for number, word in enumerate(self.words) if number > UNK}
        self._pairs = None if self.merges is None else BytePairs(self.words[UNK + 1 :], self.merges, SPECIALS[UNK])

    @classmethod
    def fit(cls, captions: Iterable[Sequence[str]], config: TextConfig) -> Vocabulary:
        """Count the words of cleaned training captions (lists of tokens) and keep those that `config` allows.

        Raises:
            DataError: there is no word in the captions, or none is left.
            ConfigError: byte pairs are requested but not available.
        """
        if config.vocabulary == "bpe":
            return cls._fit_pieces(captions, config)
        seen = Counter(chain.from_iterable(captions))
        total = seen.total()
        for special in SPECIALS:
            seen.pop(special, None)
        ranked = sorted(seen.items(), key=lambda item: (-item[1], item[0]))[: config.max_size]
        kept = {word: count for word, count in ranked if count >= config.min_count}
        if not kept:
            fault = f"no word appears {config.min_count} times (text.min_count)" if seen else "they hold no words"
            raise DataError(f"training captions: {fault}; check the split and the caption file")
        counts = {"<unk>": total - sum(kept.values()), **kept}
        return cls([*SPECIALS, *kept], config.rules, config.max_words, counts)

    @classmethod
    def _fit_pieces(cls, captions: Iterable[Sequence[str]], config: TextConfig) -> Vocabulary:
        seen = Counter(word for caption in captions for word in join_words(caption).split())
        for special in SPECIALS:
            seen.pop(special, None)
        if not seen:
            raise DataError("training captions: they hold no words; check the split and the caption file")
        if config.pieces is None:
            pairs = fit_byte_pairs(seen, config.max_size, config.min_count, SPECIALS[UNK])
        else:
            pairs = gpt2_pieces(config.pieces, SPECIALS[UNK])
        counts = dict.fromkeys((SPECIALS[UNK], *pairs.pieces), 0)
        for word, count in seen.items():
            for piece in pairs.split(word):
                counts[piece] += count
        return cls([*SPECIALS, *pairs.pieces], config.rules, config.max_words, counts, pairs.merges)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, tokens: Sequence[str]) -> list[int]:
        """Return `<start>`, the tokens' numbers (at most `max_words`; unknown words are `<unk>`) and `<end>`."""
        if self._pairs is not None:
            tokens = [piece for word in join_words(tokens).split() for piece in self._pairs.split(word)]
        number = self._ids.get
        return [START, *[number(token, UNK) for token in tokens[: self.max_words]], END]

    def encode_all(self, text: Mapping[str, Iterable[Sequence[str]]]) -> dict[str, list[list[int]]]:
        """Return image_id -> its captions as numbers; see `encode`."""
        with collector_paused():
            return {name: [self.encode(caption) for caption in picture] for name, picture in text.items()}

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the words of `ids` up to the first `<end>`, without `<pad>` and `<start>`.

        Raises:
            DataError: a number is not in this vocabulary, so the ids come from another one.
        """
        words = []
        for number in map(int, ids):
            if number == END:
                break
            if not 0 <= number < len(self.words):
                raise DataError(
                    f"token {number} is not in this vocabulary of {len(self.words)} words; use the model's own"
                )
            if number > START:
                words.append(self.words[number])
        return words

    def to_text(self, tokens: Iterable[str]) -> str:
        """Return the result of `decode` as text."""
        return join_words(list(tokens)) if self.merges is None else to_text(tokens)

    @property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal digits, of the words, their order, the rules and the cut."""
        content = self.to_json()
        del content["counts"]
        return digest_json(content)

    def to_json(self) -> dict[str, Any]:
        """Return the vocabulary as plain values; `from_json` reads them back."""
        content = {"rules": self.rules, "max_words": self.max_words, "words": self.words, "counts": self.counts}
        return content if self.merges is None else {**content, "merges": [list(merge) for merge in self.merges]}

    @classmethod
    def from_json(cls, content: Any) -> Vocabulary:
        """Build a vocabulary from the result of `to_json`.

        Raises:
            DataError: the content is not a vocabulary's.
        """
        fault = _fault(content)
        if fault:
            raise DataError(f"not a vocabulary: {fault}; train the model again")
        return cls(content["words"], content["rules"], content["max_words"], content["counts"], content.get("merges"))

    def save(self, path: str | Path) -> None:
        """Write the vocabulary to a JSON file, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read a vocabulary file.

        Raises:
            DataError: the file is missing, not JSON, or not a vocabulary.
        """
        content = read_json(path)
        try:
            return cls.from_json(content)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None


def _fault(content: Any) -> str | None:
    if not isinstance(content, dict):
        return f"expected an object, found {type(content).__name__}"
    expected = {"words": list, "rules": str, "max_words": int, "counts": dict}
    for key, kind in expected.items():
        if not isinstance(content.get(key), kind):
            return f"{key!r} is missing or no {kind.__name__}"
    words = content["words"]
    if not all(isinstance(word, str) for word in words) or tuple(words[:4]) != SPECIALS:
        return f"'words' does not begin with {' '.join(SPECIALS)}"
    if len(set(words)) != len(words):
        return "'words' has a word twice"
    if not all(isinstance(count, int) for count in content["counts"].values()):
        return "'counts' has a value that is not a number"
    merges = content.get("merges")
    if merges is not None and not (isinstance(merges, list) and all(map(_is_merge, merges))):
        return "'merges' is not a list of pairs of pieces"
    return None


def _is_merge(merge: Any) -> bool:
    return isinstance(merge, list | tuple) and len(merge) == 2 and all(isinstance(piece, str) for piece in merge)
