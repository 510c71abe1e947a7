"""Captioning as extraction encodes: threads decode ahead, batches run beside one another, captions leave in order."""

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

TOGETHER = 64  # pictures that are captioned together: beyond that the decoder gains little, and results come late


@dataclass(frozen=True)
class Encoders:
    """The networks that a captioner's pictures go through, one after the other; most captioners have one.

    Attributes:
        members: the encoders.
        batch_size: pictures that go through together.
    """

    members: tuple[Encoder, ...]
    batch_size: int

    @property
    def precisions(self) -> str:
        """In what they compute."""
        return " and ".join(dict.fromkeys(encoder.description["precision"] for encoder in self.members))

    def decoder(self, max_pixels: int) -> Decoder:
        """Return how files become what `encode_layers` takes: one picture, or several sizes of it in a row of bytes."""
        first = self.members[0]
        if len(self.members) == 1:
            return Decoder(first.input_size, first.prepare, max_pixels)
        size = tuple(max(encoder.input_size[axis] for encoder in self.members) for axis in (0, 1))

        def prepare(picture: np.ndarray) -> np.ndarray:
            return np.concatenate([encoder.prepare(picture).ravel() for encoder in self.members])

        total = sum(3 * height * width for height, width in (encoder.input_size for encoder in self.members))
        return Decoder((size[0], size[1]), prepare, max_pixels, shape=(total,))

    def encode_layers(self, pictures: np.ndarray, at_least: int = 0) -> list[np.ndarray]:
        """Return the features (pictures, ...) that each encoder gives of prepared pictures."""
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
    """Return the captioner's encoders, each in the precision and batch size that is fastest here for so many pictures.

    A long run measures them as an extraction does, and the choice is kept for the next ones.

    Args:
        captioner: the captioner.
        files: the pictures.
        wanted: (files,) bool, those that are to be captioned.
        config: precision and batch size, where they are not to be measured.

    Raises:
        DataError: an encoder is not known, or its weights cannot be had.
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
    """Return the first of some pictures that can be read, as the encoder takes them."""
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
    """Yield what becomes of the pictures, in the order of the batches, each as soon as it is known.

    While the decoder makes sentences of one lot of pictures, the encoder computes the features of the next, and threads
    decode those after it.

    Args:
        captioner: makes the captions.
        encoders: its encoders, in the precision that is wanted.
        files: the pictures.
        batches: the places in `files` of the pictures that go through the encoders together; an empty one says that
            no more are known for now, so that captions of the known ones are not kept back.
        config: threads, and the largest picture.
        n, changes: see `Captioner.search`.
        together: pictures that the decoder takes at a time; the first lot is a batch alone, so that something comes.
        at_least: see `Encoder.encode_layers`.
        numbers: (files,) which of the user's pictures each one is, where `files` is a part of them: sampling draws by
            it.
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
