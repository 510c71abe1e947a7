"""Training batches: whole captions as integers, grouped by length, a picture's captions side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import keras
import numpy as np

from captioner.text.vocabulary import PAD

CHUNK = 32  # batches that are sorted by length together: more reduce padding, fewer make batches more varied
BATCHES_AHEAD = 2  # batches that are prepared while the network trains

Encoded = Sequence[Sequence[int]]  # the captions of a picture as numbers, each `<start>` ... `<end>`


class Features(Protocol):
    """The methods of a feature store that batches use."""

    def gather(self, ids: Sequence[str]) -> np.ndarray:
        """Return the features (n, ...) of n pictures."""
        ...


@runtime_checkable
class DrawnEachEpoch(Protocol):
    """Features of pictures that look different in each epoch."""

    def start_at(self, epoch: int) -> None:
        """Draw new appearances of the pictures for epoch number `epoch` (from 0)."""
        ...


class TrainingBatches(Protocol):
    """The interface of an epoch's batches, whatever their source.

    Attributes:
        batch_size: pictures per batch.
        passes: passes over all pictures in an epoch.
    """

    batch_size: int
    passes: int

    def __len__(self) -> int:
        """Return how many batches of the epoch are left."""
        ...

    def start_at(self, epoch: int, batch: int = 0) -> None:
        """Shuffle for epoch number `epoch` (from 0) and leave out its batches before number `batch`."""
        ...

    def for_keras(self) -> Any:
        """Return the argument for Keras' fit."""
        ...


class Batch(NamedTuple):
    """One training step's arrays.

    Attributes:
        features: (pictures, channels) or (pictures, regions, channels) float32.
        tokens: (pictures, captions, time) int32, beginning with `<start>`, padded on the right.
        positions: (words,) int32, the places in the flattened tokens at which a word is predicted.
        targets: (words,) int32, the words to predict at these places.
        weights: (words,) float32, 0 for positions that only pad the shape.
    """

    features: np.ndarray
    tokens: np.ndarray
    positions: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def make_batch(
    features: np.ndarray,
    captions: Sequence[Encoded],
    multiple: int = 1,
) -> Batch:
    """Lay out the captions of some pictures for one teacher-forced pass.

    Args:
        features: (pictures, ...), one row per entry of `captions`.
        captions: per picture its captions, each `<start>` ... `<end>`.
        multiple: time is rounded up to a multiple of it, and the number of positions to a multiple of 64 times it,
            so that a backend that compiles a program per shape compiles few programs.
    """
    most = max(len(picture) for picture in captions)
    longest = max(len(caption) for picture in captions for caption in picture) - 1
    tokens, following = lay_out(captions, most, -(-longest // multiple) * multiple)
    positions = np.flatnonzero(following != PAD).astype("int32")
    weights = np.ones(len(positions), dtype="float32")
    if multiple > 1:
        free = np.flatnonzero(following == PAD).astype("int32")  # each position once: scattering adds up repeated ones
        filling = min(-len(positions) % (64 * multiple), len(free))
        positions = np.concatenate([positions, free[:filling]])
        weights = np.pad(weights, (0, filling))
    return Batch(features, tokens, positions, following.reshape(-1)[positions], weights)


def lay_out(captions: Sequence[Encoded], most: int, time: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the captions' words and, for each, the word that follows it, both (pictures, most, time) int32, padded.

    Args:
        captions: per picture its captions, each `<start>` ... `<end>`.
        most: the largest number of captions of a picture.
        time: the largest number of words of a caption.
    """
    tokens = np.full((len(captions), most, time), PAD, dtype="int32")
    following = np.full_like(tokens, PAD)
    for row, picture in enumerate(captions):
        for column, caption in enumerate(picture):
            tokens[row, column, : len(caption) - 1] = caption[:-1]
            following[row, column, : len(caption) - 1] = caption[1:]
    return tokens, following


class CaptionBatches(keras.utils.PyDataset):
    """The batches of an epoch. They are shuffled in each epoch; the same seed gives the same order.

    Args:
        features: gives the pictures' features.
        captions: image_id -> its captions as numbers, `<start>` ... `<end>`.
        batch_size: pictures per batch, each with all its captions.
        seed: seed of the shuffling.
        least_steps: the least number of batches in an epoch; an epoch goes over few pictures several times.
    """

    def __init__(
        self,
        features: Features,
        captions: Mapping[str, Encoded],
        batch_size: int,
        seed: int,
        least_steps: int = 1,
    ) -> None:
        super().__init__()
        self.features = features
        self.captions = captions
        self.ids = np.array(list(captions))
        self.lengths = np.array([max(map(len, captions[image_id])) for image_id in captions])
        self.batch_size = min(batch_size, len(self.ids))
        self.seed = seed
        self.passes = -(-least_steps // -(-len(self.ids) // self.batch_size))  # over all pictures in an epoch
        # XLA compiles a program per shape; the other backends accept any shape without compiling.
        self.multiple = 4 if keras.backend.backend() == "jax" else 1
        self._order = self._shuffle(0)

    def _shuffle(self, epoch: int) -> list[np.ndarray]:
        """Return each batch's rows: batches of captions with similar lengths, in random order."""
        if self.passes == 1:
            return self._pass([self.seed, epoch])
        return [batch for number in range(self.passes) for batch in self._pass([self.seed, epoch, number])]

    def _pass(self, seed: Sequence[int]) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(self.ids))
        batches = []
        for start in range(0, len(rows), self.batch_size * CHUNK):
            chunk = rows[start : start + self.batch_size * CHUNK]
            chunk = chunk[np.argsort(self.lengths[chunk], kind="stable")]
            batches += [chunk[at : at + self.batch_size] for at in range(0, len(chunk), self.batch_size)]
        return [batches[index] for index in rng.permutation(len(batches))]

    def __len__(self) -> int:
        return len(self._order)

    def pictures(self, index: int) -> tuple[list[str], np.ndarray]:
        """Return the ids and the features (pictures, ...) of the epoch's batch number `index`."""
        ids = [str(image_id) for image_id in self.ids[self._order[index]]]
        return ids, self.features.gather(ids)

    def batch(self, index: int) -> Batch:
        """Return the epoch's batch number `index`."""
        ids, features = self.pictures(index)
        return make_batch(features, [self.captions[image_id] for image_id in ids], self.multiple)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return ((features, tokens, positions), targets, weights), as Keras' fit takes it."""
        return for_step(self.batch(index))

    def start_at(self, epoch: int, batch: int = 0) -> None:
        """Shuffle for epoch number `epoch` (from 0) and leave out its batches before number `batch`.

        The batches are the same as in an uninterrupted run.
        """
        self._order = self._shuffle(epoch)[batch:]
        if isinstance(self.features, DrawnEachEpoch):
            self.features.start_at(epoch)

    def for_keras(self) -> Any:
        """Return the argument for Keras' fit and evaluate."""
        if keras.backend.backend() != "tensorflow":
            return self
        return for_fit(lambda: map(self.batch, range(len(self))), len(self), self.batch(0).features.shape[1:])


def for_step(batch: Batch) -> tuple[Any, ...]:
    """Return ((features, tokens, positions), targets, weights), as a step of Keras' fit takes it."""
    return (batch.features, batch.tokens, batch.positions), batch.targets, batch.weights


def for_fit(batches: Callable[[], Iterable[Batch]], count: int, feature_shape: Sequence[int]) -> Any:
    """Return a tf.data.Dataset of batches.

    The signature says that sizes vary: Keras would otherwise assume that the sizes in which the first two batches
    agree hold for all. Autotuning is off: at the end of an epoch the tuner can sleep for as long as the epoch took.

    Args:
        batches: returns an epoch's batches each time it is called.
        count: the number of batches.
        feature_shape: the shape of one picture's features.
    """
    import tensorflow as tf

    rows = tf.TensorSpec((None, *feature_shape), tf.float32)
    tokens, positions = tf.TensorSpec((None, None, None), tf.int32), tf.TensorSpec((None,), tf.int32)
    signature = ((rows, tokens, positions), positions, tf.TensorSpec((None,), tf.float32))
    dataset = tf.data.Dataset.from_generator(lambda: map(for_step, batches()), output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    counted = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return counted.prefetch(BATCHES_AHEAD).with_options(options)
