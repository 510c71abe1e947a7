"""Ray Serve runs the application with the lines of the README, on a Ray of this machine."""

import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from captioner.export.fast import FOLDER
from captioner.pretrained.box import BOX
from captioner.run_folder import CAPTIONER
from tests.serving.server import Client, picture, until

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import ray
from ray import serve

sys.path.insert(0, ".")
from captions import app

ray.init(num_cpus=4, include_dashboard=False, _temp_dir=sys.argv[2], log_to_driver=False)
serve.start(http_options={"port": int(sys.argv[1])})
serve.run(app)
print("ready", flush=True)
sys.stdin.read()
serve.shutdown()
ray.shutdown()
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def folder(tmp_path):
    """The files that the README's lines need: captions.py, and the built-in captioner as runs/merge."""
    (block,) = re.findall(r"^```py\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.M | re.S)
    (tmp_path / "captions.py").write_text(block)
    run = tmp_path / "runs" / "merge"
    run.mkdir(parents=True)
    shutil.copy(BOX, run / CAPTIONER)
    shutil.copytree(BOX.parent / FOLDER, run / FOLDER)
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_the_lines_of_the_readme_caption_on_two_replicas(folder):
    port, short = free_port(), tempfile.mkdtemp(prefix="ray")  # of a short name: sockets lie in it
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # for this test alone
    patient = {  # beside busy processes
        "RAY_worker_niceness": "0",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "300",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "300",
    }
    environment = {**os.environ, **access, **patient, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", PROGRAM, str(port), short]
    log = folder / "log"
    with log.open("w") as said:
        started = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            assert started.stdout.readline() == "ready\n", log.read_text()
            client = Client(port)
            until(lambda: client.get("/readyz").status == 200)
            answers = [client.post_picture("/caption", picture(seed, (320, 240))) for seed in (0, 1, 0)]
            assert [answer.status for answer in answers] == [200] * 3, answers
            first, other, again = (answer.json["caption"] for answer in answers)
            assert first == again != other
            assert client.post_picture("/caption", b"hello").status == 415
            assert client.get("/model").json["runtime"] == "onnxruntime"
        finally:
            started.stdin.close()
            started.stdout.close()
            started.wait(120)
            shutil.rmtree(short, ignore_errors=True)
