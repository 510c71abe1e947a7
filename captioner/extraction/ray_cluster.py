"""Distributes work on pictures over a Ray cluster: Ray Data hands out portions and streams the results back."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from captioner.config import ConfigError
from captioner.encoders.table import WEIGHTS_FOLDER
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.loader import Listing
from captioner.storage import DataError

PORTIONS_A_WORKER = 8  # at least, so that all workers end at about the same time
BATCHES_A_PORTION = 16  # at most: a worker that dies loses one portion
BLOCK_BYTES = 2**20  # a worker sends its results when they have this size
PASSED_ON = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", WEIGHTS_FOLDER)


class RelativePaths(Listing, Protocol):
    """A listing whose pictures other nodes also read."""

    def relative(self, place: int) -> str:
        """Return a picture's path relative to the shared folder, or its full path."""
        ...


@dataclass(frozen=True)
class Portion:
    """Several batches for one worker: a listing of their pictures.

    Attributes:
        folder: the folder of the pictures, the same on every node.
        places: (pictures,) their places in the whole listing.
        paths: paths relative to the folder.
        bytes: (pictures,) the files' sizes.
        modified: (pictures,) the files' modification times in nanoseconds.
        ends: the end of each batch in `places`.
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
        """Yield, for each batch, the places of its pictures in this portion."""
        start = 0
        for end in self.ends:
            yield np.arange(start, end)
            start = end


class Job(Protocol):
    """The work of every worker. The object is sent to the nodes."""

    def build(self, node: str, threads: int) -> Callable[[Portion], Iterable[Any]]:
        """Return a function from a portion to results, which refer to pictures by their places in the whole listing.

        Args:
            node: the name of the worker's node.
            threads: the number of threads for decoding.

        Raises:
            DataError: this node lacks files that the job needs.
        """
        ...


class Worker:
    """An actor of the cluster that runs a job."""

    def __init__(self, job: Job, threads: int) -> None:
        self._run = job.build(socket.gethostname(), threads)

    def __call__(self, rows: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Work on portions; yield the results."""
        for row in rows["portion"]:
            for found in self._run(pickle.loads(row)):
                yield {"found": np.array([pickle.dumps(found)], object)}


def run_portions(
    pictures: RelativePaths, folder: Path, batches: Iterable[np.ndarray], job: Job, config: ExtractionConfig
) -> Iterator[Any]:
    """Yield the results of all workers in the order in which they finish.

    If a worker or a node dies, another one repeats its unfinished work.

    Args:
        pictures: the listing.
        folder: the base of its relative paths, the same on every node.
        batches: the places of each batch's pictures in the listing.
        job: the work of the workers.
        config: the cluster and its workers.

    Raises:
        ConfigError: Ray is not installed.
        DataError: no cluster answers, a node lacks what it needs, or no worker is left.
    """
    ray = import_ray()
    whole = [batch for batch in batches if len(batch)]
    if not whole:
        return
    connect(ray, config.address)
    try:
        workers, resources = share_out(ray, config.workers, config.address)
        threads = max(1, int(resources["num_cpus"])) if config.threads == "auto" else config.threads
        rows = [{"portion": pickle.dumps(portion)} for portion in portions(pictures, folder, whole, workers)]
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(job, threads),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            **resources,
        )
        for row in dataset.iter_rows():
            yield pickle.loads(row["found"])
    except ray.exceptions.RayError as error:
        raise _plain(error) from error
    finally:
        ray.shutdown()


def import_ray() -> Any:
    """Return the module.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors come back as exceptions
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError("engine: ray is not installed; pip install 'captioner[ray]'") from None
    return ray


def connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or start one on this machine.

    Raises:
        DataError: no cluster answers, or it requires a token.
    """
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
            raise DataError(f"{address}: the Ray cluster requires a token; set RAY_AUTH_TOKEN to its token") from error
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{address}: no Ray cluster answers there ({reason}); `ray start --head` starts one") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def share_out(ray: Any, workers: int | Literal["auto"], address: str | None) -> tuple[int, dict[str, float]]:
    """Return the number of workers and the resources of each.

    Args:
        workers: the requested number; `auto` for one per GPU or, without GPUs, one per node.
        address: the cluster's address, for messages.

    Raises:
        DataError: no node has a free core.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if gpus := int(sum(node.get("GPU", 0) for node in nodes)):
        cores = min(node["CPU"] // node["GPU"] for node in nodes if node.get("GPU"))
        return gpus if workers == "auto" else workers, {"num_gpus": 1, "num_cpus": max(1, int(cores))}
    if not nodes:
        raise DataError(f"{address or 'the Ray cluster'}: has no node with a free core; add a node")
    smallest = min(node["CPU"] for node in nodes)
    workers = len(nodes) if workers == "auto" else workers
    a_node = -(-workers // len(nodes))
    return workers, {"num_cpus": max(1, int(smallest // a_node))}


def portions(pictures: RelativePaths, folder: Path, batches: Sequence[np.ndarray], workers: int) -> Iterator[Portion]:
    """Yield the batches in portions, several for each worker."""
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
    """Return the error of a worker, without Ray's long traceback."""
    inner: BaseException | None = error
    while inner is not None:
        cause = getattr(inner, "cause", None) or inner.__cause__
        if type(inner) in (DataError, ConfigError):
            return DataError(str(inner))
        inner = cause if isinstance(cause, BaseException) else None
    reason = " ".join(str(error).split())
    return DataError(f"the Ray cluster failed ({reason[-300:]}); run the same command again to continue")
