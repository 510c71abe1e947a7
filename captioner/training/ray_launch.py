"""Several processes of one command on a Ray cluster, started through Ray Train.

JaxTrainer joins its workers only if they have GPUs. Ours join by themselves, also on CPUs, so JaxTrainer's joining is
off: each worker starts a process of the command and watches it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from captioner.config import ConfigError
from captioner.extraction.ray_cluster import connect, import_ray, share_out
from captioner.storage import DataError
from captioner.training.environment import ADDRESSES, COUNT, LAUNCHED, NUMBER, PEER_ENDED
from captioner.training.launch import COMMAND, GRACE, free_port

logger = logging.getLogger(__name__)

ROOM_WITHIN = 300.0  # seconds to wait until the cluster has room for the processes
POLL = 0.5
RESUME = "to continue, run captioner train --engine ray --resume"


class PeerEndedError(DataError):
    """A process has ended because another one has."""


def launch_on_ray(arguments: Sequence[str], folder: Path, count: int | None, address: str | None) -> None:
    """Run a command in several processes on a cluster whose nodes share this folder and the run folder.

    The messages of process 0 are logged here.

    Args:
        arguments: command line arguments, such as `["train", "-o", "runs/a"]`.
        folder: the run folder that process 0 writes.
        count: the number of processes; waits until the cluster has room for them. None means one per GPU or, without
            GPUs, one per node.
        address: the cluster's address; if None, Ray is started on this machine.

    Raises:
        ConfigError: Ray is not installed, or a process reported wrong usage.
        DataError: no cluster answers, it has no room, or a process has failed.
    """
    ray = import_ray()
    try:
        from ray import train
        from ray.train.v2.jax import JaxConfig, JaxTrainer
        from ray.util.queue import Queue
    except ImportError as error:
        raise ConfigError(f"engine: Ray Train lacks a package ({error}); pip install 'captioner[ray]'") from None
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)  # errors come back as exceptions
    connect(ray, address)
    try:
        processes, resources = room_for(ray, count, address)
        logger.info(f"starting {'1 process' if processes == 1 else f'{processes} processes'} on the Ray cluster")
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        lines = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        with _mark_in(folder) as mark, tempfile.TemporaryDirectory() as storage:
            trainer = JaxTrainer(
                run_process,
                jax_config=JaxConfig(use_tpu=False),
                train_loop_config={
                    "arguments": list(arguments),
                    "folder": str(Path.cwd()),
                    "mark": str(mark.resolve()),
                    "lines": lines,
                },
                scaling_config=train.ScalingConfig(
                    num_workers=processes,
                    use_gpu="num_gpus" in resources,
                    resources_per_worker={name.upper()[4:7]: number for name, number in resources.items()},
                    placement_strategy="SPREAD",
                ),
                run_config=train.RunConfig(
                    storage_path=storage,
                    failure_config=train.FailureConfig(max_failures=0, controller_failure_limit=0),
                ),
            )
            _fit(trainer, lines, processes)
    except ray.exceptions.RayError as error:
        raise DataError(f"the Ray cluster failed ({_last_words(error)}); {RESUME}") from error
    finally:
        ray.shutdown()


def room_for(ray: Any, count: int | None, address: str | None) -> tuple[int, dict[str, float]]:
    """Wait until a cluster has room for the processes; return their number and the resources of each.

    Raises:
        DataError: there is no room within ROOM_WITHIN seconds.
    """
    until, waiting = time.monotonic() + ROOM_WITHIN, False
    while True:
        processes, resources = share_out(ray, "auto" if count is None else count, address)
        room = _room(ray, resources)
        if room >= processes:
            return processes, resources
        what = f"the Ray cluster has room for {room} of {processes} processes"
        if time.monotonic() > until:
            raise DataError(f"{address or 'engine'}: {what}; add nodes, or ask for fewer --processes")
        if not waiting:
            logger.info(f"{what}; waiting for more nodes")
        waiting = True
        time.sleep(POLL)


def _room(ray: Any, resources: dict[str, float]) -> int:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    counted = "GPU" if "num_gpus" in resources else "CPU"
    return sum(int(node.get(counted, 0) // resources[f"num_{counted.lower()}s"]) for node in nodes)


@contextlib.contextmanager
def _mark_in(folder: Path) -> Iterator[Path]:
    """Create a file in a folder, with which process 0 checks that it has the same folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / f".ray-{secrets.token_hex(8)}"
        mark.touch()
    except OSError as error:
        raise DataError(f"{folder}: cannot be written to ({error.strerror or error}); name another folder") from error
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # only if it is empty


def _fit(trainer: Any, lines: Any, count: int) -> None:
    """Run a trainer and log the lines of process 0. The trainer runs in a thread, since it would take over Ctrl-C."""
    failed: list[Exception] = []

    def fit() -> None:
        try:
            trainer.fit()
        except Exception as error:  # raised below, in the waiting thread
            failed.append(error)

    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    while thread.is_alive():
        _log(lines)
    _log(lines)
    if failed:
        raise reason(failed[0], count) from failed[0]


def _log(lines: Any) -> None:
    """Log the lines that have arrived; wait a moment for the first one."""
    with contextlib.suppress(queue.Empty):
        line = lines.get(timeout=POLL)
        while True:
            if line.startswith("note: "):
                logger.warning(line.removeprefix("note: "))
            elif line.startswith("captioner: "):
                logger.error(line.removeprefix("captioner: "))
            else:
                logger.info(line)
            line = lines.get(block=False)


def reason(error: Exception, count: int) -> Exception:
    """Return the error of one of `count` processes, without Ray's long traceback."""
    failures = getattr(error, "worker_failures", {})
    inner = {number: getattr(failure, "_base_exc", failure) for number, failure in sorted(failures.items())}
    for failure in inner.values():
        if isinstance(failure, ConfigError | DataError) and not isinstance(failure, PeerEndedError):
            return failure
    for number, failure in inner.items():
        if not isinstance(failure, PeerEndedError):
            return DataError(
                f"process {number} of {count}, or its node, has ended ({_last_words(failure)}), "
                f"so {others(count)} ended, too; {RESUME}"
            )
    if inner:
        return DataError(f"a process has ended, so {others(count)} ended, too; {RESUME}")
    if "startup timed out" in str(error):
        return DataError(f"the Ray cluster is busy and cannot start {count} processes; wait, or ask for fewer")
    return DataError(f"Ray Train failed ({_last_words(error)}); {RESUME}")


def others(count: int) -> str:
    """Return the subject and verb of a sentence about the other processes, of `count` in all."""
    return "the other process was" if count == 2 else "the other processes were"


def _last_words(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 160 else f"...{words[-160:]}"


def run_process(wanted: dict[str, Any]) -> None:
    """Run the command as one of the processes, in a worker of the cluster, and wait for its end.

    Raises:
        ConfigError, DataError: the process has failed; the message is its last line.
    """
    import ray.train.collective
    import ray.util

    context = ray.train.get_context()
    number, count = context.get_world_rank(), context.get_world_size()
    place = f"{ray.util.get_node_ip_address()}:{free_port()}" if number == 0 else None
    place = ray.train.collective.broadcast_from_rank_zero(place)
    which = f"process {number} of {count}, on {socket.gethostname()}"
    if number == 0 and not Path(wanted["mark"]).exists():
        raise DataError(
            f"{which}: does not have the same run folder {Path(wanted['mark']).parent}; put it on a shared disk"
        )
    try:
        process = subprocess.Popen(
            [*COMMAND, *wanted["arguments"]],
            cwd=wanted["folder"],
            env={
                **os.environ,
                "KERAS_BACKEND": "jax",
                ADDRESSES: place,
                COUNT: str(count),
                NUMBER: str(number),
                LAUNCHED: "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise DataError(f"{which}: {wanted['folder']}: {error.strerror}; all nodes need this folder") from error
    last = _pass_on(process, wanted["lines"] if number == 0 else None)
    code = process.wait()
    if code == PEER_ENDED:
        time.sleep(GRACE)  # gives the process that failed first time to report its error
        raise PeerEndedError(f"{which}: another process has ended")
    if code < 0:
        name = signal.Signals(-code).name
        raise DataError(f"{which}: was ended by {name}, so {others(count)} ended, too; {RESUME}")
    if code:
        kind = ConfigError if code == 2 else DataError
        raise kind(f"{which}: {last.removeprefix('captioner: ') or f'exit code {code}'}")


def _pass_on(process: subprocess.Popen[str], lines: Any) -> str:
    """Pass on the lines of a process until it ends, except the last error, which is returned."""
    error = ""
    for line in process.stderr or ():
        line = line.rstrip("\n")
        if line.startswith("captioner: "):
            line, error = error, line
        if lines is not None and line:
            lines.put(line)
    return error
