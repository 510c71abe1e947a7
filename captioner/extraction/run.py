"""One extraction: chooses precision and batch size, encodes the missing pictures, and writes the files."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from captioner.encoders.encoder import Encoder
from captioner.extraction.changes import Changes
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.loader import Decoder, available_cores, decode, in_batches, read_listed
from captioner.extraction.local_engine import Waits, on_accelerator, run_local
from captioner.extraction.outputs import Reusable, Target, write_target
from captioner.extraction.partial import EncodedBatch, PartialFeatures
from captioner.extraction.probe import DEFAULT_BATCH_SIZE, PROBE_PICTURES, Chosen, choose, is_out_of_memory
from captioner.features.skipped import skipped_path, write_skipped
from captioner.images.listing import Pictures
from captioner.progress import Progress
from captioner.storage import DataError

logger = logging.getLogger(__name__)

PROBE_PAYS_FROM = 128  # pictures; fewer take less time than the probe


@dataclass(frozen=True)
class ExtractionResult:
    """The result of an extraction.

    Attributes:
        outputs: the feature files, one per layer.
        pictures: the number of pictures with features in each file.
        skipped: image_id -> why it has no features.
        precision: `float32` or `bfloat16`.
        seconds: the duration of this run.
        up_to_date: whether nothing had to be done.
        encoded: the number of pictures encoded in this run.
        limit: the bottleneck, if it is known.
    """

    outputs: tuple[Path, ...]
    pictures: int
    skipped: Mapping[str, str]
    precision: str
    seconds: float
    up_to_date: bool = False
    encoded: int = 0
    limit: str | None = None

    @property
    def output(self) -> Path:
        """The feature file of the first layer, for most extractions the only one."""
        return self.outputs[0]


class ExtractionRun:
    """An extraction of pictures to feature files.

    Attributes:
        goes_on: whether the partial file belongs to the same extraction.
    """

    def __init__(
        self,
        images: Path,
        pictures: Pictures,
        targets: Sequence[Target],
        partial: PartialFeatures,
        wide: Encoder,
        config: ExtractionConfig,
    ) -> None:
        """Prepare an extraction.

        Args:
            images: the folder.
            pictures: the folder's pictures.
            targets: the files, one for each of the encoder's layers.
            partial: the open partial file.
            wide: the encoder in float32.
            config: batches, threads, precision and engine.
        """
        self._images, self._pictures, self._targets = images, pictures, targets
        self._partial, self._wide, self._config = partial, wide, config
        self._job = {"partial": 2, "layers": [[target.identity, target.dtype] for target in targets]}
        header = partial.header or {}
        same = {key: header.get(key) for key in self._job} == self._job
        self.goes_on = same and config.precision in ("auto", header["chosen"]["precision"])
        self._changes, self._waits = Changes(pictures), Waits()

    def run(self, began: float, strict: bool, about: Mapping[str, Any]) -> ExtractionResult:
        """Run the extraction.

        Args:
            began: start time of the command, from `time.monotonic`.
            strict: write no output if a picture cannot be read.
            about: further content of the manifests.

        Raises:
            DataError: see `captioner.stages.extract.extract`.
        """
        reusable = [Reusable(target, self._pictures) for target in self._targets]
        reused = np.logical_and.reduce([found.places >= 0 for found in reusable])  # (pictures,)
        encoder, chosen = self._prepare(reused)
        todo = self._partial.undone() & ~reused  # (pictures,)
        self._announce(encoder, chosen, reused)
        encoded, speed = int(todo.sum()), self._encode(todo, int((~reused).sum()), encoder, chosen)
        count = self._write(encoder, chosen, reusable, reused, strict, about)
        skipped = self._skipped()
        seconds = time.monotonic() - began
        first = self._targets[0].path
        if skipped:
            reason = next(iter(skipped.values()))
            logger.info(f"skipped pictures: {len(skipped)}, see {skipped_path(first)} (first: {reason})")
        self._changes.report()
        limit = self._waits.limit if self._config.engine == "local" and speed else None
        rate = f" ({speed:.1f} per second; {limit} is the bottleneck)" if limit else ""
        for target in self._targets:
            logger.info(f"{target.path}: {count} pictures in {seconds:.0f} s{rate}")
        paths = tuple(target.path for target in self._targets)
        return ExtractionResult(paths, count, skipped, chosen.precision, seconds, encoded=encoded, limit=limit)

    def _prepare(self, reused: np.ndarray) -> tuple[Encoder, Chosen]:
        """Choose precision and batch size, and prepare the partial file."""
        header = self._partial.header
        if self.goes_on and header is not None:
            chosen = Chosen(**header["chosen"])
            encoder = self._in_precision(chosen.precision)
        else:
            if header is not None:
                logger.info(
                    f"{self._partial.path.name} was made by another encoder or with other settings; starting again"
                )
            encoder, chosen = self._choose(reused)
        rows = [(target.dtype, tuple(target.description["feature_shape"])) for target in self._targets]
        header = {**self._job, "chosen": chosen.to_json()}
        changed = self._partial.begin(header, self._pictures, rows, go_on=self.goes_on)
        if changed:
            first, count = self._pictures.ids[changed[0]], len(changed)
            pictures = "1 picture" if count == 1 else f"{count} pictures"
            logger.info(f"{pictures} changed since extraction (first: {first}); encoding them again")
        return encoder, chosen

    def _choose(self, reused: np.ndarray) -> tuple[Encoder, Chosen]:
        config, count = self._config, len(reused) - int(reused.sum())
        before = self._targets[0].manifest
        if before is not None and reused.any():  # new rows are made like the file's other rows
            batch_size = before.get("chosen", {}).get("batch_size", DEFAULT_BATCH_SIZE)
            chosen = Chosen(before["encoder"]["precision"], batch_size)
            return self._in_precision(chosen.precision), chosen
        if count < PROBE_PAYS_FROM or "auto" not in (config.precision, config.batch_size):
            precision = "float32" if config.precision == "auto" else config.precision
            batch_size = DEFAULT_BATCH_SIZE if config.batch_size == "auto" else config.batch_size
            return self._in_precision(precision), Chosen(precision, batch_size)
        sample = self._sample(np.flatnonzero(~reused)[: 4 * PROBE_PICTURES])
        encoder, chosen = choose(
            self._wide, sample, count, config.precision, config.batch_size, accelerated=on_accelerator()
        )
        if chosen.rates or chosen.batch_rates:
            logger.info(str(chosen))
        return encoder, chosen

    def _in_precision(self, precision: str) -> Encoder:
        return self._wide if precision == "float32" else self._wide.in_precision(precision)

    def _sample(self, places: np.ndarray) -> np.ndarray:
        """Return the first readable pictures, (n, height, width, 3)."""
        found = []
        for place in places:
            try:
                name, data, _ = read_listed(self._pictures, int(place))
                found.append(decode(data, name, self._decoder()))
            except DataError:
                continue
            if len(found) == PROBE_PICTURES:
                break
        return np.stack(found or [np.zeros((*self._wide.input_size, 3), np.uint8)])

    def _decoder(self) -> Decoder:
        return Decoder(self._wide.input_size, self._wide.prepare, self._config.max_pixels)

    def _announce(self, encoder: Encoder, chosen: Chosen, reused: np.ndarray) -> None:
        kept = f"{int(reused.sum())} are already extracted" if reused.any() else ""
        resumed = f"continuing after {self._partial.done}" if self._partial.done else ""
        layers = ", ".join(description.get("asked", description["layer"]) for description in encoder.descriptions)
        where = keras.distribution.list_devices()[0] if self._config.engine == "local" else "a Ray cluster"
        backbone = encoder.description["backbone"]
        parts = [
            f"extracting {backbone} {layers} of {len(self._pictures)} pictures on {where} in {chosen.precision}",
            kept,
            resumed,
        ]
        logger.info(", ".join(part for part in parts if part))

    def _encode(self, todo: np.ndarray, whole: int, encoder: Encoder, chosen: Chosen) -> float:
        """Encode the marked pictures; return the pictures per second, 0 if the time was too short to measure.

        Args:
            todo: (pictures,) whether each picture has to be encoded.
            whole: the number of pictures that an uninterrupted run would encode.
            encoder: the network.
            chosen: the batch size.
        """
        size = chosen.batch_size if self._config.batch_size == "auto" else self._config.batch_size
        at_least = size if whole > size else 0  # pads the last batch to the size of the others
        progress = Progress("extracting", len(todo), "pictures", done=len(todo) - int(todo.sum()))
        try:
            with progress:
                for batch in self._run_engine(in_batches(todo, size), encoder, at_least):
                    self._changes.note_read(batch)
                    self._partial.append(self._narrowed(batch))
                    progress.advance(len(batch.places))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise DataError(
                f"batches of {size} do not fit into the device's memory; set extraction.batch_size to a smaller number"
            ) from error
        return progress.speed

    def _run_engine(self, batches: Iterator[np.ndarray], encoder: Encoder, at_least: int) -> Iterator[EncodedBatch]:
        config = self._config
        if config.engine == "ray":
            from captioner.extraction.ray_engine import run_ray

            return run_ray(self._pictures, batches, encoder, config, at_least)
        threads = available_cores() if config.threads == "auto" else config.threads
        return run_local(self._pictures, batches, encoder, self._decoder(), threads, self._waits, at_least)

    def _narrowed(self, batch: EncodedBatch) -> EncodedBatch:
        """Return a batch whose features have the files' types."""
        kept = [row for row, place in enumerate(batch.places) if int(place) not in batch.skipped]
        names = [self._pictures.ids[int(place)] for place in batch.places[kept]]
        narrow = []
        for target, features in zip(self._targets, batch.features, strict=True):
            with np.errstate(over="ignore"):
                narrow.append(features.astype(target.dtype))
            for name, row, wide in zip(names, narrow[-1][kept], features[kept], strict=True):
                if not np.isfinite(wide).all():
                    raise DataError(f"the features of {name!r} are not finite; the encoder's weights are broken")
                if not np.isfinite(row).all():
                    raise DataError(f"the features of {name!r} are too large for {target.dtype}; set dtype to float32")
        return EncodedBatch(batch.places, batch.sources, batch.skipped, narrow)

    def _skipped(self) -> dict[str, str]:
        return {self._pictures.ids[place]: reason for place, reason in sorted(self._partial.skipped.items())}

    def _write(
        self,
        encoder: Encoder,
        chosen: Chosen,
        reusable: Sequence[Reusable],
        reused: np.ndarray,
        strict: bool,
        about: Mapping[str, Any],
    ) -> int:
        """Write the files and return the number of pictures in each."""
        skipped, extracted = self._skipped(), self._partial.extracted()
        if not (extracted | reused).any():
            total, reason = len(self._pictures), next(iter(skipped.values()))
            raise DataError(f"{self._images}: none of its {total} pictures can be read (first: {reason})")
        for target in self._targets:
            write_skipped(target.path, skipped)
        if strict and skipped:
            first = self._targets[0].path
            raise DataError(
                f"{len(skipped)} of {len(self._pictures)} pictures cannot be read, see {skipped_path(first)} "
                f"(first: {next(iter(skipped.values()))})"
            )
        self._changes.note_end(extracted | reused)
        facts = {
            "inputs": self._pictures.digest(),
            "skipped": skipped,
            "chosen": chosen.to_json(),
            "changed": self._changes.notes,
            **about,
        }
        count = 0
        for layer, (target, found, description) in enumerate(
            zip(self._targets, reusable, encoder.descriptions, strict=True)
        ):
            found.places[~reused] = -1
            count = write_target(target, description, self._pictures, self._partial, layer, found, **facts)
        self._partial.close(remove=True)
        return count
