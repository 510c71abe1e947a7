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

import numpy as np
import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.encoders.config import EncoderConfig
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.ray_cluster import portions
from captioner.images.listing import find_pictures
from captioner.stages.extract import extract
from captioner.storage import read_manifest

PICTURES, BATCH = 288, 4
PROGRAM = (
    "import sys\nfrom captioner.stages.extract import *\n"
    f"engine = dict(batch_size={BATCH}, precision='float32', engine=sys.argv[3], address=sys.argv[4] or None)\n"
    "extract(sys.argv[1], sys.argv[2], EncoderConfig('vgg16', weights='random'), ExtractionConfig(**engine))"
)
BOTH_NODES = (  # a driver that connects sooner works with one node
    "import ray, sys, time\nray.init(sys.argv[1], log_to_driver=False)\n"
    "while sum(node['Alive'] for node in ray.nodes()) < 2: time.sleep(0.1)"
)
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


def test_without_ray_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    config = ExtractionConfig(engine="ray")
    with pytest.raises(ConfigError, match=r"ray is not installed; pip install 'captioner\[ray\]'"):
        extract(tmp_path, tmp_path / "f.pkl", EncoderConfig("tiny", "pool", "random"), config)


def test_portions_hold_every_batch_as_it_is(tmp_path):
    for index in range(40):
        Image.new("RGB", (30, 20)).save(tmp_path / f"{index:02}.png")
    pictures = find_pictures(tmp_path)
    batches = [np.arange(start, min(start + 3, 40)) for start in range(0, 40, 3)]
    for workers in (1, 2, 5):
        handed_out = list(portions(pictures, tmp_path, batches, workers))
        found = [portion.places[batch] for portion in handed_out for batch in portion.batches()]
        assert [batch.tolist() for batch in found] == [batch.tolist() for batch in batches]
        for portion in handed_out:
            assert [portion.path(place).name for place in range(len(portion.places))] == [
                f"{place:02}.png" for place in portion.places
            ]
            assert portion.bytes.tolist() == pictures.bytes[portion.places].tolist()


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


@pytest.fixture
def cluster():
    """Two nodes on this machine, a core each: address, access, and the process of the one that is not the head."""
    from ray.util import get_node_ip_address  # what Ray makes of 127.0.0.1

    folder, port = tempfile.mkdtemp(prefix="ray"), free_port()  # of a short name: sockets lie in it
    ray, host = Path(sys.executable).with_name("ray"), get_node_ip_address()
    common = [f"--node-ip-address={host}", "--num-cpus=1", "--object-store-memory=200000000", "--block"]
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # for this test alone
    environment = {**os.environ, **access, "RAY_health_check_period_ms": "1000"}

    def start(*arguments):
        log = subprocess.DEVNULL
        return subprocess.Popen([ray, "start", *arguments, *common], env=environment, stdout=log, stderr=log)

    head = start("--head", f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false")
    nodes = [head]
    try:
        wait_until(lambda: is_listening(host, port), 60, "the head node")
        nodes.append(start(f"--address={host}:{port}"))
        joined = [sys.executable, "-c", BOTH_NODES, f"{host}:{port}"]
        subprocess.run(joined, env=environment, check=True, timeout=120, capture_output=True)
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


@pytest.mark.slow
@needs_ray
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes of a node in /proc")
def test_a_cluster_that_loses_a_node_gives_what_a_local_run_gives(cluster, tmp_path):
    address, access, worker = cluster
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for index in range(PICTURES):
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((300, 200)).save(tmp_path / "images" / f"{index:03}.jpg")
    (tmp_path / "images" / "050.jpg").write_bytes(b"broken")

    def start(name, engine, address=""):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "images"), str(tmp_path / name), engine, address]
        pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env={**os.environ, **access}, **pipes)

    def encodes():
        return any("MapWorker" in command for command in descendants(worker.pid).values())

    partial = tmp_path / "ray.h5.partial"
    running = start("ray.h5", "ray", address)
    try:
        wait_until(lambda: running.poll() is not None or encodes(), 300, "a model on the worker node")
        wait_until(lambda: running.poll() is not None or partial.stat().st_size > 20_000, 300, "features")
        assert running.poll() is None, running.communicate()
        kill(worker)
        out, err = running.communicate(timeout=240)
        assert running.returncode == 0, out + err
    finally:
        running.kill()
        running.communicate()
    local = start("local.h5", "local")
    out, err = local.communicate(timeout=240)
    assert local.returncode == 0, out + err
    assert (tmp_path / "ray.h5").read_bytes() == (tmp_path / "local.h5").read_bytes()
    one, other = (read_manifest(tmp_path / name) for name in ("ray.h5", "local.h5"))
    assert {**one, "file": None} == {**other, "file": None}
    assert list(one["skipped"]) == ["050"]
