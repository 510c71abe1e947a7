"""Caption many pictures: threads decode ahead, batches run in parallel, captions are returned in order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captioner.captioner import Captioner
from captioner.encoders.encoder import Encoder
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.loader import Decoder, Listing, available_cores, read_listed
from captioner.extraction.local_engine import Waits, on_accelerator, run_local
from captioner.extraction.probe import DEFAULT_BATCH_SIZE, PROBE_PICTURES, Chosen, choose
from captioner.extraction.remembered import recall, remember
from captioner.extraction.run import PROBE_PAYS_FROM
from captioner.generation.caption import Caption
from captioner.images.decode import load_image
from captioner.stages.prediction_outcomes import Outcome
from captioner.storage import DataError

logger = logging.getLogger(__name__)

TOGETHER = 64  # pictures that are captioned together; more gain little speed and delay the results


@dataclass(frozen=True)
class Encoders:
    """A captioner's encoders, applied one after the other; most captioners have one.

    Attributes:
        members: the encoders.
        batch_size: number of pictures encoded together.
    """

    members: tuple[Encoder, ...]
    batch_size: int

    @property
    def precisions(self) -> str:
        """The precisions in which the encoders compute."""
        return " and ".join(dict.fromkeys(encoder.description["precision"] for encoder in self.members))

    def decoder(self, max_pixels: int) -> Decoder:
        """Return the decoder of files for `encode_layers`: one picture, or several sizes of it in a flat array."""
        first = self.members[0]
        if len(self.members) == 1:
            return Decoder(first.input_size, first.prepare, max_pixels)
        size = tuple(max(encoder.input_size[axis] for encoder in self.members) for axis in (0, 1))

        def prepare(picture: np.ndarray) -> np.ndarray:
            return np.concatenate([encoder.prepare(picture).ravel() for encoder in self.members])

        total = sum(3 * height * width for height, width in (encoder.input_size for encoder in self.members))
        return Decoder((size[0], size[1]), prepare, max_pixels, shape=(total,))

    def encode_layers(self, pictures: np.ndarray, at_least: int = 0) -> list[np.ndarray]:
        """Return the features (pictures, ...) of prepared pictures from each encoder."""
        if len(self.members) == 1:
            return self.members[0].encode_layers(pictures, at_least)
        features, start = [], 0
        for encoder in self.members:
            height, width = encoder.input_size
            end = start + 3 * height * width
            own = np.ascontiguousarray(pictures[:, start:end]).reshape(-1, height, width, 3)
            features += encoder.encode_layers(own, at_least)
            start = end
        return features


def choose_encoders(captioner: Captioner, files: Listing, wanted: np.ndarray, config: ExtractionConfig) -> Encoders:
    """Return the captioner's encoders, with the precision and batch size that are fastest for this many pictures.

    A long run measures the speed as an extraction does, and stores the choice for later runs.

    Args:
        captioner: the captioner.
        files: the pictures.
        wanted: (files,) bool, the pictures to caption.
        config: precision and batch size, if they should not be measured.

    Raises:
        DataError: an encoder is not known, or its weights are not available.
    """
    members, sizes = [], []
    for wide in captioner.find_encoders():
        encoder, chosen = _choose(wide, files, wanted, config)
        members.append(encoder)
        sizes.append(chosen.batch_size)
    return Encoders(tuple(members), min(sizes))


def _choose(wide: Encoder, files: Listing, wanted: np.ndarray, config: ExtractionConfig) -> tuple[Encoder, Chosen]:
    count = int(wanted.sum())
    batch_size = DEFAULT_BATCH_SIZE if config.batch_size == "auto" else config.batch_size
    if "auto" not in (config.precision, config.batch_size) or count < PROBE_PAYS_FROM:
        precision = "float32" if config.precision == "auto" else config.precision
        return _in_precision(wide, precision), Chosen(precision, batch_size)
    before = recall(wide.description)
    if before is not None and config.precision in ("auto", before.precision) and config.batch_size == "auto":
        return _in_precision(wide, before.precision), before
    sample = _sample(wide, files, np.flatnonzero(wanted)[: 4 * PROBE_PICTURES], config.max_pixels)
    encoder, chosen = choose(wide, sample, count, config.precision, config.batch_size, accelerated=on_accelerator())
    if chosen.rates or chosen.batch_rates:
        logger.info(str(chosen))
    if config.precision == config.batch_size == "auto" and chosen.rates:
        remember(wide.description, chosen)
    return encoder, chosen


def _in_precision(wide: Encoder, precision: str) -> Encoder:
    return wide if precision == "float32" else wide.in_precision(precision)


def _sample(encoder: Encoder, files: Listing, places: np.ndarray, max_pixels: int) -> np.ndarray:
    """Return the first readable pictures, prepared for the encoder."""
    found = []
    for place in places:
        try:
            name, data, _ = read_listed(files, int(place))
            picture = load_image(data, name=name, max_pixels=max_pixels, at_least=encoder.input_size)
            found.append(encoder.prepare(picture))
        except DataError:
            continue
        if len(found) == PROBE_PICTURES:
            break
    return np.stack(found or [np.zeros((*encoder.input_size, 3), np.uint8)])


def caption_local(
    captioner: Captioner,
    encoders: Encoders,
    files: Listing,
    batches: Iterable[np.ndarray],
    config: ExtractionConfig,
    n: int,
    changes: Mapping[str, Any],
    together: int = TOGETHER,
    at_least: int = 0,
    numbers: np.ndarray | None = None,
) -> Iterator[Outcome]:
    """Yield the outcomes of the pictures in the order of the batches, each as soon as it is ready.

    While the decoder captions one group of pictures, the encoder computes the features of the next group, and threads
    decode the files after it.

    Args:
        captioner: the captioner.
        encoders: its encoders, in the chosen precision.
        files: the pictures.
        batches: indices into `files` of the pictures to encode together; an empty batch means that no more pictures
            are known yet, so that the captions of the known ones are not delayed.
        config: threads and maximum picture size.
        n, changes: see `Captioner.search`.
        together: pictures that the decoder captions at a time; the first group is a single batch, for early results.
        at_least: see `Encoder.encode_layers`.
        numbers: (files,) the index of each picture among all of the user's pictures, if `files` is a part of them;
            sampling depends on it.
    """
    threads = available_cores() if config.threads == "auto" else config.threads
    decoder = encoders.decoder(config.max_pixels)
    lot: list[Any] = []
    waiting, enough = 0, 1
    for batch in run_local(files, batches, encoders, decoder, threads, Waits(), at_least):
        lot.append(batch)
        waiting += len(batch.places)
        if waiting and (waiting >= enough or not len(batch.places)):
            yield from _caption(captioner, lot, n, changes, numbers)
            lot, waiting, enough = [], 0, together
    if waiting:
        yield from _caption(captioner, lot, n, changes, numbers)


def _caption(
    captioner: Captioner, lot: Sequence[Any], n: int, changes: Mapping[str, Any], numbers: np.ndarray | None
) -> Iterator[Outcome]:
    """Caption the pictures of some batches of features together."""
    places = np.concatenate([batch.places for batch in lot])
    skipped = {place: reason for batch in lot for place, reason in batch.skipped.items()}
    kept = np.array([int(place) not in skipped for place in places], bool)
    captions: Iterator[list[Caption]] = iter(())
    if kept.any():
        layers = zip(*(batch.features for batch in lot if len(batch.places)), strict=True)
        features = tuple(np.concatenate(layer)[kept] for layer in layers)
        which = places[kept] if numbers is None else numbers[places[kept]]
        arranged = captioner.arrange(features)
        captioner.warn_of_unlike(arranged)
        captions = iter(captioner.caption_features(arranged, n, which, **changes))
    for place in places.tolist():
        yield Outcome(place, (), skipped[place]) if place in skipped else Outcome(place, next(captions))
