"""Runs one command in several processes on this machine, to try what a cluster would do."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from captioner.training.environment import ADDRESSES, COUNT, LAUNCHED, NUMBER, PEER_ENDED

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "captioner")
GRACE = 20.0  # seconds that processes have to end by themselves after another one has ended
POLL = 0.2


def launch(arguments: Sequence[str], count: int, *, results: bool = True) -> int:
    """Run a command in `count` processes that find each other with the variables of keras.distribution.

    The output of process 0 is printed. If another process fails first, its last line is printed.

    Args:
        arguments: command line arguments, such as `["train", "-o", "runs/a"]`.
        count: the number of processes.
        results: whether to print the standard output of process 0, too.

    Returns:
        the exit code: 0 if all processes succeed. If one fails, the others are ended.
    """
    variables = {ADDRESSES: f"127.0.0.1:{free_port()}", COUNT: str(count), LAUNCHED: "1"}
    with contextlib.ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        processes = [
            subprocess.Popen(
                [*COMMAND, *arguments],
                env={**os.environ, **variables, NUMBER: str(number)},
                stdin=subprocess.DEVNULL,
                stdout=None if results and number == 0 else subprocess.DEVNULL,
                stderr=None if number == 0 else said[number],
                start_new_session=True,  # only this process receives Ctrl-C
            )
            for number in range(count)
        ]
        try:
            return _wait(processes, said)
        finally:
            _end(processes)


def _wait(processes: Sequence[subprocess.Popen[bytes]], said: Sequence[IO[bytes]]) -> int:
    while True:
        codes = [process.poll() for process in processes]
        if all(code == 0 for code in codes):
            return 0
        if any(code not in (None, 0, PEER_ENDED) for code in codes):
            break
        if any(code == PEER_ENDED for code in codes) and None not in codes:
            break
        time.sleep(POLL)
    until = time.monotonic() + GRACE
    while any(process.poll() is None for process in processes) and time.monotonic() < until:
        time.sleep(POLL)
    own = processes[0].returncode
    if own is not None and own > 0 and own != PEER_ENDED:
        return own  # process 0 has printed the reason
    failed = [n for n, code in enumerate(codes) if code not in (None, 0)]
    number = next((n for n in failed if codes[n] != PEER_ENDED), failed[0])
    code = processes[number].returncode
    logger.error(_reason(number, len(processes), code, said[number]))
    return 1 if code is None or code < 0 else code


def _reason(number: int, count: int, code: int | None, said: IO[bytes]) -> str:
    """Return why a process has ended (the signal or its last line), and that the others were ended."""
    which = f"process {number} of {count}"
    others = "the other process was ended" if count == 2 else "the other processes were ended"
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"{which} was ended by {name}, so {others}, too; to continue, run captioner train --resume"
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    return f"{which}: {lines[-1].removeprefix('captioner: ') if lines else f'exit code {code}'}; {others}"


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()  # safe: every file is written completely or not at all
    for process in processes:
        process.wait()


def free_port() -> int:
    """Return a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
