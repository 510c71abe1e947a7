"""Several processes, or several devices of one process, train one decoder together: keras.distribution on JAX.

Each process has all weights and reads its part of each batch; the gradients are those of the whole batch.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from captioner.config import ConfigError
from captioner.data.parts import Part
from captioner.storage import DataError
from captioner.training.environment import ADDRESSES, COUNT, LAUNCHED, NUMBER, PEER_ENDED

HEARTBEAT = 20  # seconds without a heartbeat after which a process counts as dead
_LOST = re.compile(r"gloo|nccl|connection|unavailable|heartbeat|coordination|deadline", re.IGNORECASE)

_joined: list[Part] = []


def join() -> Part | None:
    """Join the processes given by the environment, as keras.distribution.initialize does; return this process' part.

    Call it before any computation. Returns None if a single device trains.

    Raises:
        ConfigError: Keras' backend is not JAX, or a variable is not a number.
        DataError: the other processes cannot be reached.
    """
    on_jax = keras.backend.backend() == "jax"
    if COUNT in os.environ and not on_jax:
        raise ConfigError(f"{COUNT}: several processes train on JAX only; set KERAS_BACKEND=jax")
    if not on_jax:
        return None
    import jax

    if COUNT in os.environ:
        number, count = (_whole(name) for name in (NUMBER, COUNT))
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        address = os.environ.get(ADDRESSES, "").split(",")[0] or None
        try:
            jax.distributed.initialize(address, count, number, heartbeat_timeout_seconds=HEARTBEAT)
        except (RuntimeError, ValueError) as error:
            raise DataError(f"{ADDRESSES}: the processes cannot connect to each other ({error})") from error
        if LAUNCHED in os.environ:
            threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    part = Part(jax.process_index(), jax.process_count(), jax.local_device_count())
    if part.processes * part.devices == 1:
        return None
    _joined.append(part)
    with together(), _quiet():
        share(np.zeros(1, "float32"))
    return part


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Gloo's messages about connections off standard output, which is for results."""
    sys.stdout.flush()
    real, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(real, 1)
        os.close(real)
        os.close(nowhere)


def leave() -> None:
    """Wait for the other processes and disconnect from them; afterwards each process works alone."""
    import jax

    if _joined and _joined[0].processes > 1:
        jax.distributed.shutdown()
    _joined.clear()


def is_joined() -> bool:
    """Return whether other processes wait for this one; if so, it must exit at once when it fails."""
    return bool(_joined) and _joined[0].processes > 1


@contextlib.contextmanager
def together() -> Iterator[None]:
    """In this context, Keras builds and computes on all devices of all processes together."""
    with _distribution(keras.distribution.DataParallel(auto_shard_dataset=False)):
        yield


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """In this context, Keras builds and computes in this process only."""
    with _distribution(None):
        yield


@contextlib.contextmanager
def _distribution(distribution: Any) -> Iterator[None]:
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(distribution)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def share(values: Any) -> Any:
    """Return process 0's arrays; they have the same shapes and types in all processes.

    Args:
        values: arrays in lists or dicts.
    """
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(values)


@contextlib.contextmanager
def peers_watched(part: Part) -> Iterator[None]:
    """Report in one line that another process has ended, instead of JAX's traceback.

    Raises:
        DataError: another process has ended.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if part.processes == 1 or not _LOST.search(str(error)):
            raise
        if LAUNCHED in os.environ:
            os._exit(PEER_ENDED)
        message = f"process {part.number} of {part.processes}: another process has ended, so this one ends, too"
        raise DataError(f"{message}; to continue, run captioner train --resume in all of them") from error


def arrays_of(variables: Any) -> list[np.ndarray]:
    """Return the values of variables; they are the same on all devices."""
    return [np.asarray(variable.value) for variable in variables]


def _whole(name: str) -> int:
    try:
        return int(os.environ[name])
    except (KeyError, ValueError):
        raise ConfigError(f"{name}: expected a whole number, found {os.environ.get(name, 'nothing')}") from None


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(PEER_ENDED)
