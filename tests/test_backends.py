"""The pipeline without TensorFlow: on JAX, with any import of tensorflow refused."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json
import sys


class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError("tensorflow is blocked")


sys.meta_path.insert(0, NoTensorFlow())

from pathlib import Path

import numpy as np

import captioner
import captioner.cli
import captioner.stages.run
from captioner.cli import COMMANDS, cli
from captioner.stages.train import train
from captioner.features.store import open_features
from tests.training.project import make_project

for name in COMMANDS:
    cli.get_command(None, name)
folder = Path(sys.argv[1])
sections = make_project(folder)
progress = train(folder / "run", sections)
assert progress.history[-1]["loss"] < progress.history[0]["loss"], progress.history
model = captioner.load(folder / "run")
features = np.stack([open_features(sections.features)[f"p{index}"] for index in range(4)])
for captions in model.caption_features(features, n=2):
    print(json.dumps([(caption.text, caption.log_prob) for caption in captions]))
"""

SAME = """
import json
import sys
from pathlib import Path

import numpy as np

import captioner
from captioner.features.store import open_features

folder = Path(sys.argv[1])
features = np.stack([open_features(folder / "features.pkl")[f"p{index}"] for index in range(4)])
for captions in captioner.load(folder / "run").caption_features(features, n=2):
    print(json.dumps([(caption.text, caption.log_prob) for caption in captions]))
"""


def run(program, folder, backend):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [sys.executable, "-c", program, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
def test_trains_and_captions_on_jax_without_tensorflow_and_tensorflow_reads_the_run(tmp_path):
    pytest.importorskip("jax")
    on_jax = run(PROGRAM, tmp_path, "jax")
    on_tensorflow = run(SAME, tmp_path, "tensorflow")
    for picture, other in zip(on_jax, on_tensorflow, strict=True):
        for (text, log_prob), (other_text, other_log_prob) in zip(picture, other, strict=True):
            assert text == other_text
            assert log_prob == pytest.approx(other_log_prob, abs=1e-3)
