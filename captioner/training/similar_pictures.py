"""The captions of the training pictures that look most like a picture, and how well a new caption agrees with them.

After Devlin et al., "Exploring Nearest Neighbor Approaches for Image Captioning", 2015: there, the caption that agrees
best with the captions of similar pictures is the picture's caption. Here they choose among a model's captions.
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from captioner.metrics.cider import CiderD, Frequencies
from captioner.metrics.ngrams import ORDERS
from captioner.storage import DataError

FEWEST = 100  # training pictures; fewer have nothing similar
MOST = 20_000  # training pictures that are kept, so that the captioner's file stays small
NEIGHBOURS = 10
LEAST = 3  # pictures with an n-gram; rarer ones count as in one picture, because most n-grams are rare
AXES = 128  # directions in which pictures are compared
LARGEST_TEXT = 2**26  # bytes of a compressed text, so that a file from elsewhere cannot exhaust the machine


class SimilarPictures:
    """Training pictures with their captions, found by their vectors.

    A vector's channels are scaled to a standard deviation of 1 over the training pictures. Vectors are compared by the
    cosine of their parts along the AXES directions in which the training pictures differ most.

    Args:
        mean, spread: (channels,) mean and standard deviation of the training pictures' vectors.
        axes: (channels, axes) the directions, of length 1.
        rows: (pictures, axes) int8, the training pictures along the axes, each scaled to the full range.
        captions: each picture's captions, one on a line, their words joined with spaces.
        frequencies: n-gram -> the number of these pictures with a caption that contains it. They follow from the
            captions, but to count those of 6,000 pictures takes 0.3 s at every start, to read them 0.1 s.

    Raises:
        DataError: the sizes do not match.
    """

    def __init__(
        self,
        mean: np.ndarray,
        spread: np.ndarray,
        axes: np.ndarray,
        rows: np.ndarray,
        captions: Sequence[str],
        frequencies: Mapping[str, int],
    ) -> None:
        channels, pictures = len(mean), len(captions)
        if spread.shape != (channels,) or axes.shape[0] != channels or rows.shape != (pictures, axes.shape[1]):
            raise DataError("the similar pictures have numbers that do not fit together; train the captioner again")
        self.mean, self.spread, self.axes, self.rows = mean, spread, axes, rows
        self.captions, self.frequencies = captions, frequencies
        self._directions = _directions(rows.astype(np.float32))  # (pictures, axes)

    @classmethod
    def of(cls, vectors: np.ndarray, captions: Sequence[Sequence[Sequence[str]]]) -> SimilarPictures | None:
        """Compute them from training pictures; None if these are fewer than FEWEST.

        Args:
            vectors: (pictures, channels), see Captioner.vectors.
            captions: the words of each picture's captions.
        """
        if len(vectors) < FEWEST:
            return None
        captions = [
            [" ".join(words).split() for words in several if words] for several in captions
        ]  # no spaces in words
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)  # float32 has no square of large numbers
        spread = np.maximum(vectors.std(axis=0, dtype=np.float64), 1e-6).astype(np.float32)
        scaled = (vectors.astype(np.float32) - mean) / spread
        _, turned = np.linalg.eigh(scaled.T @ scaled)  # ascending
        axes = turned[:, ::-1][:, :AXES].astype(np.float16)  # (channels, axes)
        placed = scaled @ axes.astype(np.float32)
        largest = np.maximum(np.abs(placed).max(axis=1, keepdims=True), 1e-12)
        rows = np.rint(placed / largest * 127).astype(np.int8)
        texts = ["\n".join(map(" ".join, several)) for several in captions]
        return cls(mean, spread, axes, rows, texts, _frequencies(captions))

    def consensus(self, vectors: np.ndarray, candidates: Sequence[Sequence[Sequence[str]]]) -> list[np.ndarray]:
        """Return the mean CIDEr-D of each candidate against all captions of the NEIGHBOURS most similar pictures.

        Args:
            vectors: (pictures, channels)
            candidates: the words of each picture's candidates.

        Returns:
            for each picture (its candidates,), from 0 to 10.
        """
        counts = [len(several) for several in candidates]
        nearest = self.nearest(vectors)  # (pictures, NEIGHBOURS)
        references = {
            str(row): [line.split() for place in own for line in self.captions[place].split("\n")]
            for row, own in enumerate(nearest)
        }
        ids = [str(row) for row, count in enumerate(counts) for _ in range(count)]
        words = [caption for several in candidates for caption in several]
        if not words:
            return [np.zeros(0) for _ in counts]
        return np.split(CiderD(references, self._counted).scores(ids, words), np.cumsum(counts)[:-1])

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """Return the numbers (pictures, NEIGHBOURS) of the training pictures most similar to each, the nearest first.

        Raises:
            DataError: the vectors have another number of channels.
        """
        if vectors.shape[1] != len(self.mean):
            raise DataError(f"expected pictures with {len(self.mean)} channels, found {vectors.shape[1]}")
        placed = _directions((vectors - self.mean) / self.spread @ self.axes.astype(np.float32))
        return np.argsort(-(placed @ self._directions.T), axis=1, kind="stable")[:, :NEIGHBOURS]

    @cached_property
    def _counted(self) -> Frequencies:
        """The document frequencies as CIDEr-D needs them."""
        return Frequencies.of_words(len(self.captions), self.frequencies)

    def to_json(self) -> dict[str, Any]:
        """Return a value for JSON: the arrays in base64, the captions as compressed text."""
        counts = "\n".join(f"{words}\t{count}" for words, count in self.frequencies.items())
        return {
            "mean": _packed(self.mean, "<f4"),
            "spread": _packed(self.spread, "<f4"),
            "axes": _packed(self.axes, "<f2"),
            "rows": _packed(self.rows, "i1"),
            "captions": _compressed("\n\n".join(self.captions)),
            "frequencies": _compressed(counts),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SimilarPictures:
        """Build it from the result of `to_json`.

        Raises:
            DataError: the captions are too large, or the sizes do not match.
        """
        mean, spread = (_unpacked(content[name], "<f4") for name in ("mean", "spread"))
        axes = _unpacked(content["axes"], "<f2").reshape(len(mean), -1)
        rows = _unpacked(content["rows"], "i1").reshape(-1, axes.shape[1])
        captions = _decompressed(content["captions"]).split("\n\n")
        lines = (line.split("\t") for line in _decompressed(content["frequencies"]).splitlines())
        return cls(mean, spread, axes, rows, captions, {words: int(count) for words, count in lines})


def _frequencies(captions: Sequence[Sequence[Sequence[str]]]) -> dict[str, int]:
    """Return n-gram -> the number of pictures with a caption that contains it, if there are LEAST or more."""
    found: Counter[str] = Counter()
    for several in captions:
        own: set[str] = set()
        for words in several:
            for order in range(1, ORDERS + 1):
                own.update(" ".join(words[place : place + order]) for place in range(len(words) - order + 1))
        found.update(own)
    return {words: count for words, count in found.items() if count >= LEAST}


def _directions(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _compressed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _decompressed(text: str) -> str:
    reader = zlib.decompressobj()
    found = reader.decompress(base64.b64decode(text), LARGEST_TEXT)
    if reader.unconsumed_tail:
        raise DataError(f"the captions of similar pictures take more than {LARGEST_TEXT >> 20} MiB")
    return found.decode()


def _packed(numbers: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers.astype(kind)).tobytes()).decode()


def _unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)
