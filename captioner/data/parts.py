"""A process' part of each batch when several processes train one decoder together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from captioner.data.batches import Batch, CaptionBatches, Encoded, lay_out
from captioner.text.vocabulary import PAD


class Part(NamedTuple):
    """A process' pictures in each batch: every process has an equal share, in the batch's order.

    Attributes:
        number: the process' number, from 0.
        processes: the number of processes.
        devices: devices per process; a process' share is divided among its devices.
    """

    number: int
    processes: int
    devices: int

    def of(self, ids: Sequence[str]) -> list[str]:
        """Return this process' pictures of a batch.

        If the pictures cannot be divided evenly among all devices, the last one is repeated.
        """
        devices = self.processes * self.devices
        filled = [*ids, *[ids[-1]] * (-len(ids) % devices)]
        share = len(filled) // self.processes
        first = self.number * share
        return filled[first : first + share]


def make_part(features: np.ndarray, captions: Sequence[Encoded], part: Part, multiple: int) -> Batch:
    """Lay out a process' part of a batch. Its arrays have the same shape in all processes, as a global array requires.

    Args:
        features: (pictures, ...), of the process' pictures.
        captions: the captions of each picture of the whole batch, each `<start>` ... `<end>`.
        part: the part of this process.
        multiple: see captioner.data.batches.make_batch.

    Returns:
        the batch; `positions` are indices into the flattened tokens of the whole batch.
    """
    share = len(features)
    filled = [*captions, *[()] * (share * part.processes - len(captions))]
    parts = [filled[number * share : (number + 1) * share] for number in range(part.processes)]
    most = max(len(picture) for picture in captions)
    words = max(sum(len(caption) - 1 for picture in own for caption in picture) for own in parts)
    longest = max(len(caption) for picture in captions for caption in picture) - 1
    time = _up_to(longest, multiple)
    # Each position occurs once: scattering adds up repeated ones. `share` is divisible by the number of devices.
    count = min(_up_to(words, math.lcm(64 * multiple, part.devices)), share * most * time)
    tokens, following = lay_out(parts[part.number], most, time)
    positions, weights = _positions(following.reshape(-1), count)
    offset = part.number * tokens.size
    targets = following.reshape(-1)[positions]
    return Batch(features, tokens, (positions + offset).astype("int32"), targets, weights)


class PartBatches(CaptionBatches):
    """A process' parts of the batches of an epoch. It reads only the features of the process' pictures.

    Args:
        part: the part of this process.
        arguments, named: the arguments of CaptionBatches; they are the same in all processes.
    """

    def __init__(self, part: Part, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.part = part

    def batch(self, index: int) -> Batch:
        """Return this process' part of the epoch's batch number `index`."""
        ids = [str(image_id) for image_id in self.ids[self._order[index]]]
        features = self.features.gather(self.part.of(ids))
        return make_part(features, [self.captions[image_id] for image_id in ids], self.part, self.multiple)


def _positions(following: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` positions, those of real words first, and their weights: 1 for real words, 0 for the others."""
    real, free = np.flatnonzero(following != PAD), np.flatnonzero(following == PAD)
    weights = np.zeros(count, dtype="float32")
    weights[: len(real)] = 1
    return np.concatenate([real, free[: count - len(real)]]), weights


def _up_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
