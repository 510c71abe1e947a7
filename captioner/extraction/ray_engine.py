"""Extraction on a Ray cluster: one model per worker; the features are streamed back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import ConfigError
from captioner.encoders.config import config_of, differences
from captioner.encoders.encoder import Encoder, build_encoder
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.loader import Decoder
from captioner.extraction.local_engine import Waits, run_local
from captioner.extraction.partial import EncodedBatch
from captioner.extraction.ray_cluster import Portion, run_portions
from captioner.images.listing import Pictures
from captioner.keras_settings import settle_keras
from captioner.storage import DataError


@dataclass(frozen=True)
class EncodingJob:
    """The work of every worker of an extraction.

    Attributes:
        folder: the folder of the pictures.
        descriptions: the encoder's descriptions, layer by layer.
        precision: precision of weights and activations.
        max_pixels: larger pictures are refused.
        at_least: see `Encoder.encode_layers`.
    """

    folder: Path
    descriptions: Sequence[Mapping[str, Any]]
    precision: str
    max_pixels: int
    at_least: int

    def build(self, node: str, threads: int) -> Callable[[Portion], Iterator[EncodedBatch]]:
        """Return a function that encodes a portion; see captioner.extraction.ray_cluster.Job.

        Raises:
            DataError: the pictures or the weights are not on this node, or the weights differ.
        """
        settle_keras()  # each node has its own keras.json
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: not on the node {node}; give every node the folder under that path")
        encoder = _build(self, node)
        decoder = Decoder(encoder.input_size, encoder.prepare, self.max_pixels)

        def encode(portion: Portion) -> Iterator[EncodedBatch]:
            for batch in run_local(portion, portion.batches(), encoder, decoder, threads, Waits(), self.at_least):
                skipped = {int(portion.places[place]): reason for place, reason in batch.skipped.items()}
                yield EncodedBatch(portion.places[batch.places], batch.sources, skipped, batch.features)

        return encode


def _build(job: EncodingJob, node: str) -> Encoder:
    first = job.descriptions[0]
    encoder = build_encoder(config_of(first), job.precision, [description["layer"] for description in job.descriptions])
    for there, here in zip(job.descriptions, encoder.descriptions, strict=True):
        if found := differences(there, here):
            raise DataError(f"the encoder on the node {node} differs: {'; '.join(found)}")
    return encoder


def run_ray(
    pictures: Pictures, batches: Iterator[np.ndarray], encoder: Encoder, config: ExtractionConfig, at_least: int
) -> Iterator[EncodedBatch]:
    """Yield the batches' features in the order in which they finish.

    Args:
        pictures: the listing; its folder and the encoder's weights have the same path on every node.
        batches: the places of each batch's pictures in the listing.
        encoder: the encoder that the workers build; the object itself is not used.
        config: the cluster and its workers.
        at_least: see `Encoder.encode_layers`.

    Raises:
        ConfigError, DataError: see `run_portions`.
    """
    if pictures.offsets is not None:
        raise ConfigError("engine: ray reads only separate picture files; unpack the tar files, or use local")
    folder = pictures.folder.resolve()
    precision = encoder.description["precision"]
    job = EncodingJob(folder, encoder.descriptions, precision, config.max_pixels, at_least)
    for batch in run_portions(pictures, folder, batches, job, config):
        yield _as_listed(batch, folder, pictures.folder)


def _as_listed(batch: EncodedBatch, folder: Path, listed: Path) -> EncodedBatch:
    """Return a batch whose messages name the pictures as in a local run."""
    return replace(batch, skipped={at: why.replace(str(folder), str(listed)) for at, why in batch.skipped.items()})
