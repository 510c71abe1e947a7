"""A compact index of millions of image_ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


class IdIndex(Sequence[str]):
    """image_ids in order, with a fast search by text.

    A dict of millions of texts takes 200 bytes or more per text; here each id takes as many bytes as the longest id.
    """

    def __init__(self, encoded: np.ndarray) -> None:
        """Take the ids as an array of UTF-8 bytes, (ids,) of NumPy's kind `S`."""
        self.encoded = encoded
        rising = encoded[:-1] <= encoded[1:]  # bytes of UTF-8 sort as their texts do
        self._order = None if rising.all() else np.argsort(encoded, kind="stable")

    @classmethod
    def of(cls, ids: Sequence[str]) -> IdIndex:
        """Make an index of texts."""
        return cls(encode_ids(ids))

    def __len__(self) -> int:
        return len(self.encoded)

    def __iter__(self) -> Iterator[str]:
        return (name.decode() for name in self.encoded)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        """Return the id at a place, or those of a slice as a list."""
        if isinstance(place, slice):
            return [name.decode() for name in self.encoded[place]]
        return self.encoded[place].decode()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find([name])[0] >= 0

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Return the places of ids, (names,) int64; -1 for missing ids."""
        return self.find_encoded(encode_ids(names))

    def find_encoded(self, names: np.ndarray) -> np.ndarray:
        """Return what `find` does for ids as UTF-8 bytes."""
        if not len(self):
            return np.full(len(names), -1)
        ranks = np.searchsorted(self.encoded, names, sorter=self._order).clip(max=len(self) - 1)
        places = ranks if self._order is None else self._order[ranks]
        return np.where(self.encoded[places] == names, places, -1)

    def repeated(self) -> tuple[int, int] | None:
        """Return the places of two ids that are the same, or None."""
        ordered = self.encoded if self._order is None else self.encoded[self._order]
        same = np.flatnonzero(ordered[:-1] == ordered[1:])
        if not len(same):
            return None
        pair = same[0] + np.arange(2)
        first, second = pair if self._order is None else self._order[pair]
        return int(first), int(second)


def encode_ids(ids: Sequence[str]) -> np.ndarray:
    """Return texts as UTF-8 bytes, (ids,) of NumPy's kind `S`."""
    return np.array([name.encode() for name in ids], dtype="S") if len(ids) else np.zeros(0, "S1")
