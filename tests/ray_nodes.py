"""A Ray cluster of two nodes on this machine."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

PATIENCE = 600
BOTH_NODES = (  # a driver that connects sooner works with one node
    "import ray, sys, time\nray.init(sys.argv[1], log_to_driver=False)\n"
    "while sum(node['Alive'] for node in ray.nodes()) < 2: time.sleep(0.1)"
)
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or not Path("/proc").is_dir(),
    reason="ray is not installed, or the processes of a node cannot be found in /proc",
)


def free_port():
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


def descendants(pid):
    """Return a process and all that it has started, as {pid: command line}."""
    parents, commands = {}, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            child = int(status.parent.name)
            parents[child] = int(status.read_text().rpartition(")")[2].split()[1])
            commands[child] = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, IndexError):  # it has ended
            continue
    found, waiting = {}, [pid]
    while waiting:
        current = waiting.pop()
        found[current] = commands.get(current, "")
        waiting += [child for child, parent in parents.items() if parent == current]
    return found


def kill(process):
    for pid in descendants(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


@contextlib.contextmanager
def two_nodes(**variables):
    """Start two nodes here, a core each: address, access, and the process of the one that is not the head."""
    from ray.util import get_node_ip_address  # what Ray makes of 127.0.0.1

    folder, port = tempfile.mkdtemp(prefix="ray"), free_port()  # of a short name: sockets lie in it
    ray, host = Path(sys.executable).with_name("ray"), get_node_ip_address()
    common = [f"--node-ip-address={host}", "--num-cpus=1", "--object-store-memory=200000000", "--block"]
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # for this test alone
    # On a busy machine a node would end itself, and workers, which give way to all others, would never compute.
    busy = {"RAY_agent_register_timeout_ms": "600000", "RAY_worker_niceness": "0"}
    environment = {**os.environ, **access, **busy, **variables}

    def start(*arguments):
        log = subprocess.DEVNULL
        return subprocess.Popen([ray, "start", *arguments, *common], env=environment, stdout=log, stderr=log)

    head = start("--head", f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false")
    nodes = [head]
    try:
        wait_until(lambda: is_listening(host, port), PATIENCE, "the head node")
        nodes.append(start(f"--address={host}:{port}"))
        joined = [sys.executable, "-c", BOTH_NODES, f"{host}:{port}"]
        subprocess.run(joined, env=environment, check=True, timeout=PATIENCE, capture_output=True)
        yield f"{host}:{port}", access, nodes[1]
    finally:
        for node in reversed(nodes):
            kill(node)
        shutil.rmtree(folder, ignore_errors=True)


def is_listening(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def wait_until(holds, seconds, what):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"{what} did not come in {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def cluster():
    """Two nodes for one test, which may kill one: it is missed soon."""
    with two_nodes(RAY_health_check_period_ms="1000") as nodes:
        yield nodes
