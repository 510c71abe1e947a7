"""Training batches that are streamed from TFRecord shards."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from captioner.data.batches import Batch, for_fit, make_batch
from captioner.data.shards.records import Record
from captioner.data.shards.store import ShardedFeatures
from captioner.images.ids import normalize_id
from captioner.storage import DataError

SORTED_TOGETHER = 8  # batches whose pictures are sorted by length together


class ShardBatches:
    """The batches of an epoch in the order of the stream. The order differs in each epoch; a seed fixes it.

    Args:
        features: the shards.
        split: the split to stream.
        captions: image_id -> its captions as numbers, `<start>` ... `<end>`; records of other pictures are skipped.
        batch_size: pictures per batch.
        seed: of the order; None keeps the order of the shards and does not sort by length.
        least_steps: smallest number of batches in an epoch, which repeats few pictures several times.
    """

    def __init__(
        self,
        features: ShardedFeatures,
        split: str,
        captions: Mapping[str, Sequence[Sequence[int]]],
        batch_size: int,
        seed: int | None,
        least_steps: int = 1,
    ) -> None:
        self.features, self.split, self.captions, self.seed = features, split, captions, seed
        self.multiple = 4 if keras.backend.backend() == "jax" else 1
        self.records = self._count()
        self.batch_size = min(batch_size, self.records)
        self._of_a_pass = math.ceil(self.records / self.batch_size)
        self.passes = math.ceil(least_steps / self._of_a_pass)
        self._epoch, self._first = 0, 0

    def _count(self) -> int:
        """Return the number of records with captions; if all pictures have captions, it is the manifest's count."""
        count = self.features.count(self.split)
        if count == len(self.captions):
            return count
        wanted = len(self.features.names(self.split) & self.captions.keys())
        if not wanted:
            raise DataError(
                f"{self.features.path}: no record of split {self.split!r} is a picture of the training split"
            )
        return wanted

    def __len__(self) -> int:
        return self.passes * self._of_a_pass - self._first

    def start_at(self, epoch: int, batch: int = 0) -> None:
        """Shuffle for epoch number `epoch` (from 0) and leave out its batches before number `batch`."""
        self._epoch, self._first = epoch, batch

    def __iter__(self) -> Iterator[Batch]:
        for number, records in enumerate(self._groups()):
            if number >= self._first:
                captions = [self._captions_of(record) for record in records]
                yield make_batch(self.features.features_of(records), captions, self.multiple)

    def _groups(self) -> Iterator[list[Record]]:
        """Yield each batch's records."""
        for number in range(self.passes):
            yield from self._pass(number)

    def _pass(self, number: int) -> Iterator[list[Record]]:
        order = None if self.seed is None else np.random.default_rng([self.seed, self._epoch, number])
        together = self.batch_size * (1 if order is None else SORTED_TOGETHER)
        window: list[Record] = []
        for record in self._wanted(None if order is None else int(order.integers(2**31))):
            window.append(record)
            if len(window) == together:
                yield from self._cut(window, order)
                window = []
        if window:
            yield from self._cut(window, order)

    def _cut(self, window: list[Record], order: np.random.Generator | None) -> list[list[Record]]:
        """Cut a window into batches of pictures with captions of similar lengths."""
        if order is None:
            return [window]
        window = sorted(window, key=lambda record: max(map(len, self._captions_of(record))))
        whole = len(window) // self.batch_size * self.batch_size
        groups = [window[at : at + self.batch_size] for at in range(0, whole, self.batch_size)]
        groups = [groups[index] for index in order.permutation(len(groups))]
        # The last batch of an epoch may be smaller; it stays the last one so that batches can be counted.
        return groups if whole == len(window) else [*groups, window[whole:]]

    def _wanted(self, seed: int | None) -> Iterator[Record]:
        seen: set[str] = set()
        for record in self.features.records(self.split, seed):
            name = normalize_id(record.image_id)
            if name in self.captions and name not in seen:  # shards of others have a record for each caption
                seen.add(name)
                yield record

    def _captions_of(self, record: Record) -> Sequence[Sequence[int]]:
        return self.captions[normalize_id(record.image_id)]

    def for_keras(self) -> Any:
        """Return the argument for Keras' fit; see captioner.data.batches.for_fit."""
        return for_fit(lambda: iter(self), len(self), self.features.shape)
