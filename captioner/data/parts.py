"""A process' part of each batch, where several processes train one decoder together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from captioner.data.batches import Batch, CaptionBatches, Encoded, lay_out
from captioner.text.vocabulary import PAD


class Part(NamedTuple):
    """Which pictures of a batch are a process' own: an equal share for each, in the batch's order.

    Attributes:
        number: of the process, from 0.
        processes: how many there are.
        devices: of each of them; its share is divided among them.
    """

    number: int
    processes: int
    devices: int

    def of(self, ids: Sequence[str]) -> list[str]:
        """Return those of a batch's pictures that are this process' own.

        Where the pictures do not go evenly into the devices of all processes, the last one is there several times.
        """
        devices = self.processes * self.devices
        filled = [*ids, *[ids[-1]] * (-len(ids) % devices)]
        share = len(filled) // self.processes
        first = self.number * share
        return filled[first : first + share]


def make_part(features: np.ndarray, captions: Sequence[Encoded], part: Part, multiple: int) -> Batch:
    """Lay out a process' part of a batch. Its arrays have one shape in all processes, as a global array needs it.

    Args:
        features: (pictures, ...), of the process' own pictures.
        captions: of each picture of the whole batch its captions, each `<start>` ... `<end>`.
        part: the process' own.
        multiple: see captioner.data.batches.make_batch.

    Returns:
        the batch; `positions` count in the flattened tokens of the whole batch.
    """
    share = len(features)
    filled = [*captions, *[()] * (share * part.processes - len(captions))]
    parts = [filled[number * share : (number + 1) * share] for number in range(part.processes)]
    most = max(len(picture) for picture in captions)
    words = max(sum(len(caption) - 1 for picture in own for caption in picture) for own in parts)
    longest = max(len(caption) for picture in captions for caption in picture) - 1
    time = _up_to(longest, multiple)
    # A position occurs once, or scattering would add them; `share` goes evenly into the devices.
    count = min(_up_to(words, math.lcm(64 * multiple, part.devices)), share * most * time)
    tokens, following = lay_out(parts[part.number], most, time)
    positions, weights = _positions(following.reshape(-1), count)
    offset = part.number * tokens.size
    targets = following.reshape(-1)[positions]
    return Batch(features, tokens, (positions + offset).astype("int32"), targets, weights)


class PartBatches(CaptionBatches):
    """A process' parts of the batches of an epoch: it reads the features of its own pictures only.

    Args:
        part: the process' own.
        arguments, named: those of CaptionBatches; they are the same in all processes.
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
    """Return `count` places, those of real words first, and the weights of these, 1, and of the others, 0."""
    real, free = np.flatnonzero(following != PAD), np.flatnonzero(following == PAD)
    weights = np.zeros(count, dtype="float32")
    weights[: len(real)] = 1
    return np.concatenate([real, free[: count - len(real)]]), weights


def _up_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
