"""Extraction on a Ray cluster: a model a worker, batches handed out by Ray Data, features streamed back."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import ConfigError
from captioner.encoders.config import EncoderConfig, differences
from captioner.encoders.encoder import Encoder, build_encoder
from captioner.encoders.table import WEIGHTS_FOLDER
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.loader import Decoder
from captioner.extraction.local_engine import Waits, run_local
from captioner.extraction.partial import EncodedBatch
from captioner.images.listing import Pictures
from captioner.storage import DataError

PORTIONS_A_WORKER = 8  # or more: the last ones are to end at about the same time
BATCHES_A_PORTION = 16  # at most: what a worker that dies takes with it
BLOCK_BYTES = 2**20  # a worker sends its features on when it has that many
PASSED_ON = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", WEIGHTS_FOLDER)


@dataclass(frozen=True)
class Portion:
    """Batches that one worker encodes one after the other: a listing of their pictures, and where each stands in it.

    Attributes:
        folder: of the pictures, the same on every node.
        places: (pictures,) where they stand in the whole listing.
        paths: relative to the folder.
        bytes: (pictures,) the files' sizes.
        modified: (pictures,) when they were changed last, in nanoseconds.
        ends: where in `places` each batch ends.
    """

    folder: Path
    places: np.ndarray
    paths: tuple[str, ...]
    bytes: np.ndarray
    modified: np.ndarray
    ends: tuple[int, ...]

    def path(self, place: int) -> Path:
        """Return a picture's path."""
        return self.folder / self.paths[place]

    def batches(self) -> Iterator[np.ndarray]:
        """Yield the places, in this portion, of the pictures that go together."""
        start = 0
        for end in self.ends:
            yield np.arange(start, end)
            start = end


@dataclass(frozen=True)
class Job:
    """What every worker of an extraction does.

    Attributes:
        folder: of the pictures.
        descriptions: the encoder's, layer by layer.
        precision: of weights and activations.
        threads: that decode.
        max_pixels: a picture that claims more is refused.
        at_least: see `Encoder.encode_layers`.
    """

    folder: Path
    descriptions: Sequence[Mapping[str, Any]]
    precision: str
    threads: int
    max_pixels: int
    at_least: int


class Worker:
    """An actor of the cluster that holds the encoder."""

    def __init__(self, job: Job) -> None:
        """Build the encoder.

        Raises:
            DataError: the pictures or the weights are not on this node, or the weights are others.
        """
        self._node = socket.gethostname()
        if not job.folder.is_dir():
            raise DataError(f"{job.folder}: not on the node {self._node}; give every node the folder under that path")
        self._job, self._encoder = job, _build(job, self._node)
        self._decoder = Decoder(self._encoder.input_size, self._encoder.prepare, job.max_pixels)

    def __call__(self, rows: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Encode a portion; yield its batches."""
        for row in rows["portion"]:
            portion: Portion = pickle.loads(row)
            for batch in run_local(
                portion,
                portion.batches(),
                self._encoder,
                self._decoder,
                self._job.threads,
                Waits(),
                self._job.at_least,
            ):
                skipped = {int(portion.places[place]): reason for place, reason in batch.skipped.items()}
                found = EncodedBatch(portion.places[batch.places], batch.sources, skipped, batch.features)
                yield {"batch": np.array([pickle.dumps(found)], object)}


def _build(job: Job, node: str) -> Encoder:
    first = job.descriptions[0]
    settings = {key: first[key] for key in ("backbone", "layer", "resizing", "filter")}
    config = EncoderConfig(**settings, weights=first["source"])
    encoder = build_encoder(config, job.precision, [description["layer"] for description in job.descriptions])
    for there, here in zip(job.descriptions, encoder.descriptions, strict=True):
        if found := differences(there, here):
            raise DataError(f"the encoder on the node {node} is another one: {'; '.join(found)}")
    return encoder


def run_ray(
    pictures: Pictures, batches: Iterator[np.ndarray], encoder: Encoder, config: ExtractionConfig, at_least: int
) -> Iterator[EncodedBatch]:
    """Yield the batches' features in the order in which they are finished.

    What a worker or a node had under way when it died is done again by another one.

    Args:
        pictures: the listing; their folder and the encoder's weights lie on every node under the same path.
        batches: the places in it of the pictures that go together.
        encoder: what the workers build; it itself is not used.
        config: the cluster and its workers.
        at_least: see `Encoder.encode_layers`.

    Raises:
        ConfigError: Ray is not installed.
        DataError: no cluster answers, a node lacks the pictures or the weights, or no worker is left.
    """
    ray = _import_ray()
    whole = list(batches)
    if not whole:
        return
    _connect(ray, config.address)
    try:
        workers, resources = _workers(ray, config)
        folder = pictures.folder.resolve()
        threads = max(1, int(resources["num_cpus"])) if config.threads == "auto" else config.threads
        precision = encoder.description["precision"]
        job = Job(folder, encoder.descriptions, precision, threads, config.max_pixels, at_least)
        rows = [{"portion": pickle.dumps(portion)} for portion in _portions(pictures, folder, whole, workers)]
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            **resources,
        )
        for row in dataset.iter_rows():
            yield _as_listed(pickle.loads(row["batch"]), folder, pictures.folder)
    except ray.exceptions.RayError as error:
        raise _plain(error) from error
    finally:
        ray.shutdown()


def _as_listed(batch: EncodedBatch, folder: Path, listed: Path) -> EncodedBatch:
    """Return a batch whose reasons name the pictures as a local run would."""
    return replace(batch, skipped={at: why.replace(str(folder), str(listed)) for at, why in batch.skipped.items()})


def _import_ray() -> Any:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters comes back as an exception
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError("engine: ray is not installed; pip install 'captioner[ray]'") from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": environment},
        )
    except (ConnectionError, ValueError) as error:
        if "AuthenticationError" in str(error.__cause__):
            raise DataError(f"{address}: the Ray cluster asks for its token; set RAY_AUTH_TOKEN to it") from error
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{address}: no Ray cluster answers there ({reason}); `ray start --head` makes one") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _workers(ray: Any, config: ExtractionConfig) -> tuple[int, dict[str, float]]:
    """Return how many workers there are to be, and the resources of each."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if gpus := int(sum(node.get("GPU", 0) for node in nodes)):
        cores = min(node["CPU"] // node["GPU"] for node in nodes if node.get("GPU"))
        return gpus if config.workers == "auto" else config.workers, {"num_gpus": 1, "num_cpus": max(1, int(cores))}
    if not nodes:
        raise DataError(f"{config.address or 'the Ray cluster'}: has no node with a core to spare; add one")
    smallest = min(node["CPU"] for node in nodes)
    workers = len(nodes) if config.workers == "auto" else config.workers
    a_node = -(-workers // len(nodes))
    return workers, {"num_cpus": max(1, int(smallest // a_node))}


def _portions(pictures: Pictures, folder: Path, batches: Sequence[np.ndarray], workers: int) -> Iterator[Portion]:
    size = max(1, min(BATCHES_A_PORTION, len(batches) // (workers * PORTIONS_A_WORKER)))
    for start in range(0, len(batches), size):
        some = batches[start : start + size]
        places = np.concatenate(some)
        yield Portion(
            folder,
            places,
            tuple(pictures.relative(int(place)) for place in places),
            pictures.bytes[places],
            pictures.modified[places],
            tuple(int(end) for end in np.cumsum([len(batch) for batch in some])),
        )


def _plain(error: Exception) -> Exception:
    """Return what went wrong in a worker, without Ray's pages around it."""
    inner: BaseException | None = error
    while inner is not None:
        cause = getattr(inner, "cause", None) or inner.__cause__
        if type(inner) in (DataError, ConfigError):
            return DataError(str(inner))
        inner = cause if isinstance(cause, BaseException) else None
    reason = " ".join(str(error).split())
    return DataError(f"the Ray cluster failed ({reason[-300:]}); the same command goes on from here")
