"""A folder of pictures into a feature file: decoding beside encoding, resumable, broken pictures passed over."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from tqdm import tqdm

from captioner.config import ConfigError
from captioner.storage import DataError, digest_file, digest_json, manifest_path, read_manifest, write_text
from captioner.vision.encoders import IDENTITY, Encoder, EncoderConfig, build_encoder, differences
from captioner.vision.features import Storage, check_target, write_features
from captioner.vision.images import list_images, load_image
from captioner.vision.partial import PartialFeatures, read_header
from captioner.vision.precision import PROBE_PICTURES, faster

PREFETCHED_BATCHES = 2
PROBE_PAYS_FROM = 128  # pictures; fewer are done sooner than the probe
SECONDS_BETWEEN_LINES = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class ExtractionConfig:
    """How features are extracted; what they are is the encoder's business.

    Attributes:
        batch_size: pictures that go through the network together.
        threads: that decode pictures meanwhile.
        precision: `auto` takes the faster of float32 and bfloat16, the latter only where its features agree.
        dtype: of the numbers in a `.h5` file; a `.pkl` file holds float32.
    """

    batch_size: int = 16
    threads: int = 2
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    dtype: Storage = "float16"

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: must be at least 1, found {getattr(self, name)}")


@dataclass(frozen=True)
class ExtractionResult:
    """What an extraction came to.

    Attributes:
        output: the feature file.
        pictures: how many have features in it.
        skipped: image_id -> why there are none.
        precision: `float32` or `bfloat16`.
        seconds: that it took this time.
        up_to_date: nothing had to be done.
    """

    output: Path
    pictures: int
    skipped: Mapping[str, str]
    precision: str
    seconds: float
    up_to_date: bool = False


def extract(
    images: str | Path,
    output: str | Path,
    encoder: EncoderConfig,
    config: ExtractionConfig | None = None,
    *,
    strict: bool = False,
    overwrite: bool = False,
    say: Say = print,
) -> ExtractionResult:
    """Encode every picture under `images` into `output`; a killed extraction goes on where it stopped.

    A picture that cannot be read is passed over and named in `<output>.skipped.csv`. An output of the same encoder and
    pictures (by id, path and size in bytes) is left as it is.

    Args:
        images: a folder, searched recursively.
        output: a `.pkl` or `.h5` file.
        encoder: which network, layer and resizing.
        config: batches, threads and precision.
        strict: a broken picture ends the extraction.
        overwrite: replace an output of another encoder, or of unknown origin.
        say: takes lines about what goes on.

    Raises:
        ConfigError: impossible settings.
        DataError: no pictures, no weights, a broken picture if `strict`, every picture broken, an output that would
            have to be overwritten, or a full disk.
    """
    began = time.monotonic()
    config, output = config or ExtractionConfig(), Path(output)
    pictures = list_images(images)
    wide = build_encoder(encoder)
    check_target(output, len(pictures), wide.feature_shape)
    job = _job(pictures, Path(images), output, wide, config)
    path = output.with_name(output.name + ".partial")
    header = read_header(path) or {}
    goes_on = {key: header.get(key) for key in job} == job and config.precision in ("auto", header["precision"])
    if not goes_on and (manifest := _finished(output, job, wide, config, overwrite)):
        say(f"{output}: up to date ({manifest['pictures']} pictures)")
        precision = manifest["encoder"]["precision"]
        return ExtractionResult(output, manifest["pictures"], manifest["skipped"], precision, 0.0, up_to_date=True)
    if header and not goes_on:
        say(f"{path.name} is of other pictures or settings: starting anew")
    chosen = _in_precision(header["precision"] if goes_on else config.precision, wide, encoder, pictures, say)
    job["precision"] = chosen.description["precision"]
    partial = PartialFeatures(path, job, chosen.feature_shape, job["dtype"])
    try:
        say(
            f"extracting {encoder.backbone} {chosen.description['layer']} of {len(pictures)} pictures on "
            f"{keras.distribution.list_devices()[0]} in {job['precision']}"
            + (f", going on after {partial.done}" if partial.done else "")
        )
        _run(pictures, chosen, partial, config, strict, say)
        if not partial:
            raise DataError(f"{images}: none of its {len(pictures)} pictures can be read; the first: {_first(partial)}")
        _write_skipped(output, partial.skipped)
        about = {"inputs": job["inputs"], "skipped": partial.skipped}
        write_features(output, partial, chosen.description, job["dtype"], **about)
        partial.close(remove=True)
    finally:
        partial.close()
    if partial.skipped:
        say(f"{len(partial.skipped)} pictures were skipped, see {_skipped_path(output)}; the first: {_first(partial)}")
    seconds = time.monotonic() - began
    say(f"{output}: {len(partial)} pictures in {seconds:.0f} s")
    return ExtractionResult(output, len(partial), dict(partial.skipped), job["precision"], seconds)


def _job(
    pictures: Mapping[str, Path], folder: Path, output: Path, encoder: Encoder, config: ExtractionConfig
) -> dict[str, Any]:
    listing = [
        (name, ascii(path.relative_to(folder).as_posix()), path.stat().st_size) for name, path in pictures.items()
    ]
    return {
        "partial": 1,
        "encoder": {key: encoder.description[key] for key in IDENTITY},
        "inputs": digest_json(listing),
        "dtype": "float32" if output.suffix == ".pkl" else config.dtype,
    }


def _finished(
    output: Path, job: Mapping[str, Any], encoder: Encoder, config: ExtractionConfig, overwrite: bool
) -> dict[str, Any] | None:
    """Return the manifest of an output that is what `job` would make, None if it is to be made."""
    if not output.exists():
        return None
    manifest = read_manifest(output)
    if manifest is None or manifest.get("digest") != digest_file(output):
        if overwrite:
            return None
        fault = "nothing says what made it" if manifest is None else f"it does not fit {manifest_path(output).name}"
        raise DataError(f"{output}: is there already, and {fault}; captioner extract --overwrite replaces it")
    found = differences(manifest.get("encoder") or {}, encoder.description)
    if found and not overwrite:
        raise DataError(f"{output}: of another encoder ({'; '.join(found)}); captioner extract --overwrite replaces it")
    same = not found and all(manifest.get(key) == job[key] for key in ("inputs", "dtype"))
    return manifest if same and config.precision in ("auto", manifest["encoder"]["precision"]) else None


def _in_precision(
    precision: str, wide: Encoder, encoder: EncoderConfig, pictures: Mapping[str, Path], say: Say
) -> Encoder:
    if precision == "float32" or (precision == "auto" and len(pictures) < PROBE_PAYS_FROM):
        return wide
    narrow = build_encoder(encoder, "bfloat16")
    if precision == "bfloat16":
        return narrow
    probed = [_read(path, wide) for path in list(pictures.values())[:PROBE_PICTURES]]
    blank = np.zeros((*wide.input_size, 3), np.uint8)
    sample = [picture for picture in probed if isinstance(picture, np.ndarray)] or [blank]
    return faster(wide, narrow, np.stack(sample), say)


def _run(
    pictures: Mapping[str, Path],
    encoder: Encoder,
    partial: PartialFeatures,
    config: ExtractionConfig,
    strict: bool,
    say: Say,
) -> None:
    blank = np.zeros((*encoder.input_size, 3), np.uint8)
    progress = _Progress(partial.done, len(pictures), say)
    try:
        for ids, read in _batches(list(pictures.items())[partial.done :], encoder, config):
            skipped = {name: str(found) for name, found in zip(ids, read, strict=True) if isinstance(found, DataError)}
            if skipped and strict:
                raise DataError(next(iter(skipped.values())))
            # a broken picture keeps its place in the batch as a blank: a batch is the same batch however often it runs
            batch = np.stack([blank if isinstance(found, DataError) else found for found in read])
            features = encoder.encode(batch)  # (batch, channels) or (batch, regions, channels)
            kept = [index for index, name in enumerate(ids) if name not in skipped]
            names = [ids[index] for index in kept]
            partial.append(names, _narrowed(features[kept], names, partial.dtype), skipped)
            progress.advance(len(ids))
    finally:
        progress.close()


def _batches(
    pictures: Sequence[tuple[str, Path]], encoder: Encoder, config: ExtractionConfig
) -> Iterator[tuple[list[str], list[np.ndarray | DataError]]]:
    size = config.batch_size
    waiting: deque[tuple[list[str], list[Any]]] = deque()
    pool = ThreadPoolExecutor(config.threads)
    try:
        for start in range(0, len(pictures), size):
            chunk = pictures[start : start + size]
            waiting.append(([name for name, _ in chunk], [pool.submit(_read, path, encoder) for _, path in chunk]))
            if len(waiting) > PREFETCHED_BATCHES:
                ids, futures = waiting.popleft()
                yield ids, [future.result() for future in futures]
        for ids, futures in waiting:
            yield ids, [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _read(path: Path, encoder: Encoder) -> np.ndarray | DataError:
    try:
        return encoder.prepare(load_image(path, at_least=encoder.input_size))
    except DataError as error:
        return error


def _narrowed(features: np.ndarray, ids: Sequence[str], dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        rows = features.astype(dtype)
    for name, row, wide in zip(ids, rows, features, strict=True):
        if not np.isfinite(wide).all():
            raise DataError(f"the features of {name!r} are not finite; the encoder's weights are broken")
        if not np.isfinite(row).all():
            raise DataError(f"the features of {name!r} go beyond {dtype}; set dtype to float32")
    return rows


def _skipped_path(output: Path) -> Path:
    return output.with_name(output.name + ".skipped.csv")


def _write_skipped(output: Path, skipped: Mapping[str, str]) -> None:
    _skipped_path(output).unlink(missing_ok=True)
    if skipped:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("image_id", "reason"), *skipped.items()])
        write_text(_skipped_path(output), text.getvalue())


def _first(partial: PartialFeatures) -> str:
    return next(iter(partial.skipped.values()))


@dataclass
class _Progress:
    """A bar on a terminal, a plain line now and then elsewhere."""

    done: int
    total: int
    say: Say
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._start, self._last = self.done, self.began
        self._bar = tqdm(total=self.total, initial=self.done, unit=" pictures") if sys.stderr.isatty() else None

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(count)
        elif now - self._last >= SECONDS_BETWEEN_LINES:
            rate = (self.done - self._start) / (now - self.began)
            left = (self.total - self.done) / rate
            self.say(f"{self.done} of {self.total} pictures, {rate:.1f} a second, {left / 60:.0f} minutes left")
            self._last = now

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
