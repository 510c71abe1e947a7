import os
import subprocess
import sys
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
from tests.ray_nodes import cluster, descendants, kill, needs_ray, wait_until  # noqa: F401

PICTURES, BATCH = 288, 4
PROGRAM = (
    "import sys\nfrom captioner.stages.extract import *\n"
    f"engine = dict(batch_size={BATCH}, precision='float32', engine=sys.argv[3], address=sys.argv[4] or None)\n"
    "encoder = EncoderConfig('vgg16', weights='random', view='flip', input_size=192)\n"
    "extract(sys.argv[1], sys.argv[2], encoder, ExtractionConfig(**engine))"
)


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


@pytest.mark.slow
@needs_ray
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes of a node in /proc")
def test_a_cluster_that_loses_a_node_gives_what_a_local_run_gives(cluster, tmp_path):  # noqa: F811
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
