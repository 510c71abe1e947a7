"""Several processes, or several devices of one, that train one decoder together: keras.distribution on JAX.

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

HEARTBEAT = 20  # seconds without a sign of life after which a process counts as dead
_LOST = re.compile(r"gloo|nccl|connection|unavailable|heartbeat|coordination|deadline", re.IGNORECASE)

_joined: list[Part] = []


def join() -> Part | None:
    """Join the processes that the environment names, as keras.distribution.initialize does; return this one's part.

    It must be called before anything is computed. None where a single device trains.

    Raises:
        ConfigError: Keras' backend is not JAX, or a variable is no number.
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
            raise DataError(f"{ADDRESSES}: the processes do not find each other ({error})") from error
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
    """Keep what Gloo says when processes connect off standard output, which is for results."""
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
    """Wait for the other processes and part from them: what follows is each one's own."""
    import jax

    if _joined and _joined[0].processes > 1:
        jax.distributed.shutdown()
    _joined.clear()


def is_joined() -> bool:
    """Tell whether other processes wait for this one: if it fails, it must end at once, and wait for none of them."""
    return bool(_joined) and _joined[0].processes > 1


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Make what Keras builds and computes one for all devices of all processes."""
    with _distribution(keras.distribution.DataParallel(auto_shard_dataset=False)):
        yield


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Make what Keras builds and computes this process' own."""
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
    """Return process 0's arrays, of which all processes have the same shapes and types.

    Args:
        values: arrays in lists or dicts.
    """
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(values)


@contextlib.contextmanager
def peers_watched(part: Part) -> Iterator[None]:
    """Say in one line that another process has ended, instead of what JAX says.

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
        message = f"process {part.number} of {part.processes}: another process has ended, so this one does, too"
        raise DataError(f"{message}; captioner train --resume continues in all of them") from error


def arrays_of(variables: Any) -> list[np.ndarray]:
    """Return the values of variables that are the same on all devices."""
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
