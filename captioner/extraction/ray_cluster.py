"""Work on pictures spread over a Ray cluster: portions handed out by Ray Data, what comes of them streamed back."""

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

PORTIONS_A_WORKER = 8  # or more: the last ones are to end at about the same time
BATCHES_A_PORTION = 16  # at most: what a worker that dies takes with it
BLOCK_BYTES = 2**20  # a worker sends its results on when it has that many
PASSED_ON = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", WEIGHTS_FOLDER)


class RelativePaths(Listing, Protocol):
    """A listing whose pictures other nodes read, too."""

    def relative(self, place: int) -> str:
        """Return a picture's path relative to the folder that all nodes have, or its whole path."""
        ...


@dataclass(frozen=True)
class Portion:
    """Batches that one worker encodes one after the other: a listing of their pictures, and the place of each in it.

    Attributes:
        folder: of the pictures, the same on every node.
        places: (pictures,) their places in the whole listing.
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


class Job(Protocol):
    """What every worker does; it is sent to the nodes as it is."""

    def build(self, node: str, threads: int) -> Callable[[Portion], Iterable[Any]]:
        """Return what makes results of a portion, each of which names pictures by their places in the whole listing.

        Args:
            node: the name of the node it is on.
            threads: that may decode there.

        Raises:
            DataError: what it needs is not on this node.
        """
        ...


class Worker:
    """An actor of the cluster that holds what a job has built."""

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
    """Yield the results of all workers in the order in which they are finished.

    What a worker or a node had under way when it died is done again by another one.

    Args:
        pictures: the listing.
        folder: that its relative paths start from, the same on every node.
        batches: the places in it of the pictures that go together.
        job: what the workers do.
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
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters comes back as an exception
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
        DataError: none answers, or it asks for a token.
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
            raise DataError(f"{address}: the Ray cluster asks for its token; set RAY_AUTH_TOKEN to it") from error
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{address}: no Ray cluster answers there ({reason}); `ray start --head` makes one") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def share_out(ray: Any, workers: int | Literal["auto"], address: str | None) -> tuple[int, dict[str, float]]:
    """Return how many workers there are to be, and the resources of each.

    Args:
        workers: that are wanted; `auto` takes one a GPU or, where there is none, one a node.
        address: of the cluster, for what is said.

    Raises:
        DataError: no node has a core.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if gpus := int(sum(node.get("GPU", 0) for node in nodes)):
        cores = min(node["CPU"] // node["GPU"] for node in nodes if node.get("GPU"))
        return gpus if workers == "auto" else workers, {"num_gpus": 1, "num_cpus": max(1, int(cores))}
    if not nodes:
        raise DataError(f"{address or 'the Ray cluster'}: has no node with a core to spare; add one")
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
    """Return what went wrong in a worker, without Ray's pages around it."""
    inner: BaseException | None = error
    while inner is not None:
        cause = getattr(inner, "cause", None) or inner.__cause__
        if type(inner) in (DataError, ConfigError):
            return DataError(str(inner))
        inner = cause if isinstance(cause, BaseException) else None
    reason = " ".join(str(error).split())
    return DataError(f"the Ray cluster failed ({reason[-300:]}); run the same command again to continue")
